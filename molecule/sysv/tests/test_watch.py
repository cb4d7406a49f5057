"""The watcher on a system where an init script starts it."""

from __future__ import annotations

from ask import steady, within
from testinfra.host import Host
from watched import started, worker

SCRIPT = "/etc/init.d/dockmaster-watch"
PID = "/run/dockmaster-watch.pid"


def test_watcher_runs_as_its_own_user(host: Host) -> None:
    assert host.run(f"{SCRIPT} status").rc == 0
    pid = host.file(PID).content_string.strip()
    assert host.file(f"/proc/{pid}").user == "dockmaster"


def test_watcher_adds_servers_without_a_reload_or_a_failed_request(host: Host) -> None:
    before = worker(host)
    with steady(host) as seen, started(host) as container:
        within(10, lambda: f"server={container}" in host.file("/var/log/dockmaster-watch.log").content_string)
    assert seen["failures"] == []
    assert worker(host) == before


def test_killed_watcher_is_restarted_within_a_minute(host: Host) -> None:
    before = host.file(PID).content_string
    host.check_output(f"kill -KILL {before}")
    within(75, lambda: host.file(PID).content_string != before and host.run(f"{SCRIPT} status").rc == 0)
    with started(host):
        pass
