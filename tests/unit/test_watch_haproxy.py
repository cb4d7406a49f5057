"""A real HAProxy that restarts, hangs or is changed by others while a watcher runs. Docker is simulated."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from dockmaster.haproxy import process
from dockmaster.state import sync_request
from dockmaster.watch import session
from waiting import until
from watching import Watched, container_id

Start = Callable[[], None]


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOOK", 0.2)


def test_haproxy_follows_the_simulated_host_after_a_reload(watching: Watched) -> None:
    """The file is old, because no sync has run."""
    watching.start(3)
    watching.up(3)
    watching.gone(1)
    watching.event(1, "die")
    watching.is_told(1, "maint")
    process.reload(watching.settings.haproxy)
    watching.said('haproxy="another worker runs"')
    watching.up(2, 3)
    until(lambda: watching.told(1) == "maint")


def test_haproxy_follows_the_simulated_host_after_it_was_killed(watching: Watched, start_haproxy: Start) -> None:
    haproxy = watching.settings.haproxy
    master = int(haproxy.pid_file.read_text())
    worker = int(watching.runtime.info()["Pid"])
    os.kill(master, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(master, 0)
    watching.start(3)
    watching.gone(1)
    watching.event(1, "die")
    watching.said("error=", "no answer to")
    Path(str(haproxy.socket_file_path)).unlink()
    start_haproxy()
    watching.up(2, 3)
    watching.is_told(1, "maint")


def test_no_change_is_lost_while_the_runtime_socket_is_dead(watching: Watched) -> None:
    there = Path(str(watching.settings.haproxy.socket_file_path))
    away = there.with_name("away.sock")
    there.rename(away)
    watching.start(3)
    watching.event(1, "kill", signal="15")
    watching.said("error=", "no answer to")
    until((watching.settings.haproxy.run_directory / sync_request.FILE).exists)
    away.rename(there)
    watching.up(2, 3)
    watching.is_told(1, "drain")
    assert len([line for line in watching.log if "error=" in line]) < 10


def test_watcher_started_before_haproxy_is_ready_once_haproxy_runs(around: Watched, start_haproxy: Start) -> None:
    around.run(1)
    around.first_pass()
    around.run(2)
    around.watch(ready=False)
    around.said("error=", "no answer to 'show info'")
    start_haproxy()
    around.said("state=ready")
    around.up(1, 2)


@pytest.mark.parametrize("told", ["ready", "maint", "drain"])
def test_server_that_a_sync_added_first_is_taken_over(watching: Watched, told: str) -> None:
    web = watching.web()
    path = f"web/{container_id(3)[:12]}_{web.port}"
    add = f"add server {path} 127.0.0.1:{web.port} check inter 100ms rise 1"
    watching.runtime.change([add, f"enable health {path}", f"set server {path} state {told}"])
    watching.start(3, web)
    watching.up(3)
    assert not [line for line in watching.log if "error=" in line]


def test_server_deleted_by_hand_is_added_again(watching: Watched) -> None:
    watching.start(3)
    watching.up(3)
    (server,) = watching.servers(3)
    watching.runtime.change([f"set server web/{server.name} state maint", f"del server web/{server.name}"])
    watching.event(3, "kill", signal="15")
    watching.said("error=", "No such server")
    watching.event(3, "die")
    watching.start(4)
    watching.up(4)
