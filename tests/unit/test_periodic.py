"""What cron starts beside the watcher: it only checks that the watcher is alive, and syncs if not."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from ansible_runs import ROOT, play
from waiting import until

ROLE = ROOT / "roles" / "dockmaster"
SCRIPT = ROLE / "files" / "periodic"
PATIENCE = 5
MINUTE = 60
HOUR = 3600
SOME_TIMES = 10
"""Checks of the watcher after which a test believes that nothing more happens."""


class Balancer:
    """A folder with the files that the script takes, and a command that writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.own = folder / "own"
        self.config = folder / "haproxy.cfg"
        self.alive = self.run / "alive"
        self.calls_file = folder / "calls"
        self.exit_status = folder / "exit_status"
        self.command = folder / "sync"
        self.run.mkdir()
        self.config.touch()
        os.utime(self.config, (1, 1))
        self.exit_status.write_text("0")
        self.command.write_text(
            f'#!/bin/sh\necho "$*" >>{shlex.quote(str(self.calls_file))}\nexit "$(cat {self.exit_status})"\n'
        )
        self.command.chmod(0o755)

    @contextmanager
    def periodic(self, minute: int = MINUTE) -> Iterator[subprocess.Popen[bytes]]:
        """Start the script as cron does, with no more of an environment."""
        command = [str(path) for path in (SCRIPT, self.run, self.config, self.command)]
        environment = {
            "PATH": "/usr/bin:/bin",
            "PERIODIC_DIRECTORY": str(self.own),
            "PERIODIC_PAUSE": "0.02",
            "PERIODIC_PATIENCE": str(PATIENCE),
            "PERIODIC_MINUTE": str(minute),
        }
        with subprocess.Popen([*command, "--every", "5"], env=environment) as process:
            try:
                yield process
            finally:
                process.kill()

    def runs_until_it_ends(self, minute: int = MINUTE) -> list[str]:
        """Run the script to its end; the calls that it made."""
        with self.periodic(minute) as process:
            assert process.wait(minute + 10) == 0
        return self.calls()

    def calls(self) -> list[str]:
        """How the command was called, each time once."""
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def goes_on(self) -> None:
        """Wait until the watcher was found alive some times more."""
        for _ in range(SOME_TIMES):
            before = self.seen()
            until(lambda: self.seen() != before, MINUTE)  # noqa: B023

    def seen(self) -> int:
        """When the watcher was last found alive, by the file that the script leaves."""
        file = self.own / "seen"
        return file.stat().st_mtime_ns if file.exists() else 0

    def holds(self, name: str, text: str) -> None:
        """Leave a file as an earlier process left it."""
        self.own.mkdir(exist_ok=True)
        (self.own / name).write_text(f"{text}\n")

    @contextmanager
    def watcher(self) -> Iterator[None]:
        """Touch the file, as a watcher does that is alive."""
        ended = threading.Event()

        def touch() -> None:
            while not ended.wait(0.01):
                self.alive.touch()

        self.alive.touch()
        thread = threading.Thread(target=touch)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@pytest.fixture
def balancer(tmp_path: Path) -> Balancer:
    return Balancer(tmp_path)


@pytest.fixture
def in_step(balancer: Balancer) -> Balancer:
    """One that was synced a moment ago, with a watcher that was alive then."""
    balancer.holds("seen", str(uptime()))
    balancer.holds("synced", str(uptime()))
    return balancer


def uptime() -> int:
    return int(float(Path("/proc/uptime").read_text().split()[0]))


def rest(call: str) -> int:
    """For how many seconds a call syncs."""
    every, interval, option, seconds = call.split()
    assert (every, interval, option) == ("--every", "5", "--for")
    return int(seconds)


def test_no_sync_while_the_watcher_is_alive(in_step: Balancer) -> None:
    with in_step.watcher():
        assert in_step.runs_until_it_ends(minute=3) == []


def test_first_start_syncs_once(balancer: Balancer) -> None:
    with balancer.watcher(), balancer.periodic():
        balancer.goes_on()
    assert balancer.calls() == ["--every 5 --for 0"]


def test_without_a_watcher_it_syncs_for_the_whole_minute(balancer: Balancer) -> None:
    [call] = balancer.runs_until_it_ends()
    assert MINUTE - 2 <= rest(call) <= MINUTE


def test_missing_run_directory_is_a_missing_watcher(in_step: Balancer) -> None:
    in_step.run.rmdir()
    [call] = in_step.runs_until_it_ends()
    assert rest(call) >= MINUTE - 2


def test_watcher_that_died_before_this_minute_is_replaced_at_once(in_step: Balancer) -> None:
    in_step.alive.touch()
    os.utime(in_step.alive, (time.time() - 10,) * 2)
    in_step.holds("seen", str(uptime() - PATIENCE))
    [call] = in_step.runs_until_it_ends()
    assert rest(call) >= MINUTE - 2


def test_watcher_that_dies_is_replaced_for_the_rest_of_the_minute(in_step: Balancer) -> None:
    in_step.alive.touch()
    with in_step.periodic() as process:
        with in_step.watcher():
            in_step.goes_on()
            assert in_step.calls() == []
        died = time.monotonic()
        assert process.wait(MINUTE) == 0
        took = time.monotonic() - died
    [call] = in_step.calls()
    # More by far than it takes: the machine may be busy with other tests.
    assert took < PATIENCE + 30
    assert 0 < rest(call) < MINUTE


def test_next_minute_still_knows_of_the_watcher_that_died(in_step: Balancer) -> None:
    with in_step.watcher(), in_step.periodic():
        in_step.goes_on()
    assert len(in_step.runs_until_it_ends()) == 1
    calls = in_step.runs_until_it_ends()
    assert len(calls) == 2
    assert rest(calls[1]) >= MINUTE - 1


def test_watcher_that_is_back_is_left_alone_from_the_next_minute(in_step: Balancer) -> None:
    in_step.alive.touch()
    assert len(in_step.runs_until_it_ends()) == 1
    with in_step.watcher(), in_step.periodic():
        in_step.goes_on()
    assert len(in_step.calls()) == 1


def test_file_from_the_future_is_no_sign_of_life(in_step: Balancer) -> None:
    in_step.alive.touch()
    os.utime(in_step.alive, (time.time() + HOUR,) * 2)
    for times in (1, 2, 3):
        assert len(in_step.runs_until_it_ends()) == times


def test_clock_that_was_set_back_costs_one_minute_of_syncs(in_step: Balancer) -> None:
    os.utime(in_step.own / "seen", (time.time() + HOUR,) * 2)
    with in_step.watcher():
        assert len(in_step.runs_until_it_ends()) == 1
        until(lambda: in_step.alive.stat().st_mtime_ns > in_step.seen())
        with in_step.periodic():
            in_step.goes_on()
    assert len(in_step.calls()) == 1


def test_marks_from_before_a_restart_of_the_machine_say_nothing(in_step: Balancer) -> None:
    for name in ("seen", "synced"):
        in_step.holds(name, str(uptime() + HOUR))
    with in_step.watcher(), in_step.periodic():
        in_step.goes_on()
    assert in_step.calls() == ["--every 5 --for 0"]


@pytest.mark.parametrize(("ago", "syncs"), [(500, 0), (590, 1)])
def test_ten_minutes_after_the_last_time_it_syncs_once(in_step: Balancer, ago: int, syncs: int) -> None:
    in_step.holds("synced", str(uptime() - ago))
    with in_step.watcher():
        for _ in range(2):
            with in_step.periodic():
                in_step.goes_on()
    assert in_step.calls() == ["--every 5 --for 0"] * syncs


def test_edited_haproxy_cfg_is_synced_once(in_step: Balancer) -> None:
    in_step.config.touch()
    os.utime(in_step.own / "synced", (time.time() - 1,) * 2)
    with in_step.watcher():
        for _ in range(2):
            with in_step.periodic():
                in_step.goes_on()
    assert in_step.calls() == ["--every 5 --for 0"]


def test_sync_that_failed_is_tried_again_in_the_next_minute(balancer: Balancer) -> None:
    with balancer.watcher():
        for status in ("1", "3", "0", "0"):
            balancer.exit_status.write_text(status)
            with balancer.periodic():
                balancer.goes_on()
    assert balancer.calls() == ["--every 5 --for 0"] * 3


def test_sync_that_the_watcher_asked_for_and_nobody_made_is_made(in_step: Balancer) -> None:
    with in_step.watcher(), in_step.periodic() as process:
        in_step.goes_on()
        (in_step.run / "sync-wanted").touch()
        assert process.wait(MINUTE) == 0
    [call] = in_step.calls()
    assert rest(call) > 0


def test_without_room_for_marks_it_syncs(balancer: Balancer) -> None:
    balancer.own = balancer.config / "none"
    with balancer.watcher():
        [call] = balancer.runs_until_it_ends()
    assert rest(call) >= MINUTE - 2


def test_exit_status_is_that_of_the_syncs(balancer: Balancer) -> None:
    balancer.exit_status.write_text("3")
    with balancer.periodic() as process:
        assert process.wait(MINUTE) == 3


@pytest.mark.parametrize("watch", [True, False])
def test_cron_checks_the_watcher_only_where_there_is_one(tmp_path: Path, watch: bool) -> None:
    task = next(
        task
        for task in yaml.safe_load((ROLE / "tasks" / "service.yml").read_text())
        if task.get("ansible.builtin.template", {}).get("src") == "cron.j2"
    )
    arguments = task["ansible.builtin.template"]
    arguments |= {"src": str(ROLE / "templates" / "cron.j2"), "dest": str(tmp_path / "cron")}
    del arguments["owner"], arguments["group"]
    variables = {
        "ansible_facts": {"service_mgr": "systemd"},
        "dockmaster_cron": True,
        "dockmaster_interval": 7,
        "dockmaster_watch": watch,
        "haproxy_settings": {"config_file_path": "/etc/haproxy/ha proxy.cfg"},
    }
    play([task], tmp_path, variables=variables)
    [line] = [line for line in (tmp_path / "cron").read_text().splitlines() if not line.startswith("#")]
    fields = line.split(maxsplit=6)
    assert fields[:6] == ["*"] * 5 + ["root"]
    checks = ["/usr/local/lib/dockmaster/periodic", "/run/dockmaster", "/etc/haproxy/ha proxy.cfg"] if watch else []
    assert shlex.split(fields[6]) == [
        *("flock", "-n", "--no-fork", "/run/lock/dockmaster-cron.lock"),
        *checks,
        *("/usr/local/bin/dockmaster", "sync", "--every", "7"),
        *("2>&1", "|", "logger", "-t", "dockmaster"),
    ]
