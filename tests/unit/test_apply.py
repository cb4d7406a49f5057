"""Apply changes to a real HAProxy."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dockmaster import sync
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.errors import Busy, ConfigRefused, ReloadFailed
from dockmaster.haproxy import process
from dockmaster.haproxy.runtime import Runtime
from dockmaster.lock import folder_locked
from dockmaster.model.endpoint import Endpoint
from findings import finds
from waiting import until

Start = Callable[[], None]


def endpoint(number: int, port: int = 49000) -> Endpoint:
    return Endpoint("localhost", f"{number:x}" * 64, "127.0.0.1", port + number)


def make(settings: Settings, template: str, *endpoints: Endpoint, check_mode: bool = False) -> sync.Report:
    return sync.run(settings, template, finds(settings, {"web": endpoints}), check_mode=check_mode)


def names(settings: Settings) -> set[str]:
    states = Runtime(str(settings.haproxy.socket_file_path)).servers()
    return {state.name for state in states if state.proxy == "web" and state.admin != "maint"}


def config(settings: Settings) -> Path:
    return settings.haproxy.config_file_path


def test_change_of_servers_is_applied_once_and_without_a_reload(
    settings: Settings, template: str, start_haproxy: Start
) -> None:
    assert make(settings, template, endpoint(1)).applied.action == "write"
    start_haproxy()
    worker = Runtime(str(settings.haproxy.socket_file_path)).info()["Pid"]
    assert make(settings, template, endpoint(1)).applied.action == "none"
    assert make(settings, template, endpoint(1), endpoint(2)).applied.action == "runtime"
    assert names(settings) == {endpoint(n).server_name(with_host=False) for n in (1, 2)}
    assert make(settings, template, endpoint(2), endpoint(1)).applied.action == "none"
    assert make(settings, template).applied.action == "runtime"
    assert names(settings) == set()
    assert make(settings, template).applied.action == "none"
    assert Runtime(str(settings.haproxy.socket_file_path)).info()["Pid"] == worker


def test_change_of_structure_is_one_reload(plain: dict[str, Any], template: str, start_haproxy: Start) -> None:
    make(parse(plain, "test"), template, endpoint(1))
    start_haproxy()
    plain["services"]["web"]["haproxy"]["listen"].append("option httplog")
    changed = parse(plain, "test")
    assert make(changed, template, endpoint(1)).applied.action == "reload"
    assert make(changed, template, endpoint(1)).applied.action == "none"


def test_file_that_haproxy_refuses_replaces_nothing_and_its_error_is_shown(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = parse(plain, "test")
    make(settings, template, endpoint(1))
    start_haproxy()
    before = config(settings).read_bytes()
    plain["services"]["web"]["haproxy"]["listen"].append("no-such-keyword here")
    with pytest.raises(ConfigRefused, match="unknown keyword 'no-such-keyword'") as caught:
        make(parse(plain, "test"), template, endpoint(1), endpoint(2))
    assert str(config(settings)) in caught.value.output
    assert config(settings).read_bytes() == before
    assert names(settings) == {endpoint(1).server_name(with_host=False)}
    assert [path.name for path in config(settings).parent.iterdir() if "cfg" in path.name] == ["haproxy.cfg"]


def test_file_that_haproxy_cannot_load_is_replaced_by_the_one_before(
    plain: dict[str, Any], template: str, start_haproxy: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HAProxy finds out that a port is in use only when it binds it."""
    monkeypatch.setattr(process, "RELOAD_TIMEOUT", 4.0)
    settings = parse(plain, "test")
    make(settings, template, endpoint(1))
    start_haproxy()
    before = config(settings).read_bytes()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        plain["services"]["web"]["haproxy"]["port"] = taken.getsockname()[1]
        with pytest.raises(ReloadFailed, match="the file before is back in place and in force"):
            make(parse(plain, "test"), template, endpoint(1))
    assert config(settings).read_bytes() == before
    assert make(settings, template, endpoint(1)).applied.action == "none"
    assert make(settings, template, endpoint(2)).applied.action == "runtime"


def test_next_sync_reloads_after_a_crash_between_write_and_reload(
    settings: Settings, template: str, start_haproxy: Start
) -> None:
    make(settings, template, endpoint(1))
    start_haproxy()
    there = config(settings).read_text()
    make(settings, template, endpoint(2))
    late = config(settings).read_text()
    config(settings).write_text(there)
    process.reload(settings.haproxy)
    config(settings).write_text(late)
    assert make(settings, template, endpoint(2)).applied.action == "runtime"
    assert names(settings) == {endpoint(2).server_name(with_host=False)}


def test_stopped_haproxy_stays_stopped_and_its_file_is_written(
    settings: Settings, template: str, start_haproxy: Start
) -> None:
    make(settings, template, endpoint(1))
    start_haproxy()
    master = int(settings.haproxy.pid_file.read_text())
    os.kill(master, signal.SIGTERM)
    os.waitpid(master, 0)
    assert make(settings, template, endpoint(2)).applied.action == "write"
    assert make(settings, template, endpoint(2)).applied.action == "none"
    assert not process.running(settings.haproxy)


def test_file_of_the_operator_is_backed_up_once(settings: Settings, template: str) -> None:
    config(settings).write_text("# mine\n")
    report = make(settings, template, endpoint(1))
    assert report.applied.backup == config(settings).with_name("haproxy.cfg.before-dockmaster")
    assert report.applied.backup.read_text() == "# mine\n"
    config(settings).write_text("# mine again\n")
    again = make(settings, template, endpoint(1)).applied.backup
    assert again
    assert again.read_text() == "# mine again\n"
    assert report.applied.backup.read_text() == "# mine\n"
    assert make(settings, template, endpoint(2)).applied.backup is None


def test_check_mode_predicts_changes_and_writes_nothing(settings: Settings, template: str) -> None:
    report = make(settings, template, endpoint(1), check_mode=True)
    assert (report.applied.action, report.changed) == ("write", True)
    assert list(config(settings).parent.iterdir()) == []


def test_check_mode_lets_haproxy_check_the_file(plain: dict[str, Any], template: str) -> None:
    plain["services"]["web"]["haproxy"]["listen"].append("no-such-keyword")
    with pytest.raises(ConfigRefused, match="no-such-keyword"):
        make(parse(plain, "test"), template, check_mode=True)


def test_file_keeps_its_owner_and_mode(settings: Settings, template: str) -> None:
    config(settings).write_text("# mine\n")
    config(settings).chmod(0o640)
    make(settings, template, endpoint(1))
    assert config(settings).stat().st_mode & 0o777 == 0o640


def test_only_one_sync_runs_at_a_time(settings: Settings, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "LOCK_TIMEOUT", 0.2)
    with ThreadPoolExecutor() as other, folder_locked(config(settings).parent, 1):
        made = other.submit(make, settings, template, endpoint(1))
        with pytest.raises(Busy, match="another sync has held"):
            made.result()
    assert not config(settings).exists()
    assert make(settings, template, endpoint(1)).changed


def test_unreachable_host_keeps_its_last_known_servers(settings: Settings, template: str) -> None:
    other = Endpoint("other", "f" * 64, "127.0.0.1", 50000)
    make(settings, template, endpoint(1), other)
    report = sync.run(settings, template, finds(settings, {"web": [endpoint(2)]}, unreachable={"other": "no answer"}))
    assert report.endpoints["web"] == sorted([endpoint(2), other])
    gone = sync.run(settings, template, finds(settings, {"web": [endpoint(2)]}))
    assert gone.endpoints["web"] == [endpoint(2)]


def test_no_request_fails_during_reloads(plain: dict[str, Any], template: str, start_haproxy: Start) -> None:
    """A steady client uses new connections during one reload after another."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        over = threading.Event()
        server = threading.Thread(target=answer, args=(listener, over), daemon=True)
        server.start()
        one = Endpoint("localhost", "a" * 64, "127.0.0.1", listener.getsockname()[1])
        settings = parse(plain, "test")
        make(settings, template, one)
        start_haproxy()
        url = f"http://127.0.0.1:{plain['services']['web']['haproxy']['port']}/"
        statuses: list[int] = []

        def ask() -> None:
            while not over.is_set() and len(statuses) < 20_000:
                with urllib.request.urlopen(url, timeout=10) as response:
                    statuses.append(response.status)

        client = threading.Thread(target=ask)
        client.start()
        until(lambda: len(statuses) > 10)
        for number in range(1, 6):
            plain["services"]["web"]["haproxy"]["listen"][2:] = [f"description version {number}"]
            assert make(parse(plain, "test"), template, one).applied.action == "reload"
            seen = len(statuses)
            until(partial(more_than, statuses, seen + 10))
        assert client.is_alive(), "a request failed"
        over.set()
        client.join(20)
        server.join(20)
        assert set(statuses) == {200}


def more_than(statuses: list[int], number: int) -> bool:
    return len(statuses) > number


def answer(listener: socket.socket, over: threading.Event) -> None:
    """A minimal HTTP server with one answer for each connection."""
    listener.settimeout(0.1)
    while not over.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            connection.settimeout(5)
            if connection.recv(65536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def test_other_process_with_the_id_of_a_dead_master_gets_no_signal(settings: Settings) -> None:
    # The signal would end this process.
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as stranger:
        settings.haproxy.pid_file.write_text(f"{stranger.pid}\n")
        until(lambda: Path(f"/proc/{stranger.pid}/comm").read_text() == "cat\n")
        with pytest.raises(ReloadFailed, match="is cat, and not HAProxy"):
            process.reload(settings.haproxy)
        assert stranger.poll() is None
        assert stranger.stdin
        stranger.stdin.close()
        assert stranger.wait(10) == 0
