"""The command with a watcher: status, the watcher, and the syncs that it requests. Docker is simulated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from conftest import TEMPLATE, Run
from dockmaster.state import sync_request
from waiting import until
from watching import Watched


def test_status_shows_the_last_change_of_the_watcher_and_its_cause(run: Run, watching: Watched) -> None:
    watching.start(3)
    watching.up(3)
    kept = watching.settings.haproxy.run_directory / "watch.json"
    until(kept.exists)
    done = run("status", "--config", watching.file)
    assert done.returncode == 0, done.stdout
    line = next(line for line in done.stdout.splitlines() if "web-3" in line)
    assert line.split()[5:8] == ["healthy", "serve", "UP"]
    assert line.endswith("added (start)")
    assert "docker host localhost: answers" in done.stdout


def test_status_reports_a_stopping_container_that_is_the_last_one(run: Run, watching: Watched) -> None:
    watching.gone(2)
    watching.event(2, "die")
    watching.is_told(2, "maint")
    watching.event(1, "kill", signal="15")
    until(lambda: (watching.settings.haproxy.run_directory / "stopping.json").exists())
    done = run("status", "--config", watching.file, "--json")
    assert done.returncode == 5
    status = json.loads(done.stdout)
    assert [(row["state"], row["haproxy"]) for row in status["servers"]] == [("stopping", "UP")]
    assert not status["healthy"]
    assert "is stopping, and stays: no better server is usable" in status["problems"][0]


def test_status_shows_when_an_unreachable_host_last_answered(run: Run, watching: Watched) -> None:
    watching.sync()
    watching.api.status = 500
    done = run("status", "--config", watching.file, "--json")
    assert done.returncode == 5
    status = json.loads(done.stdout)
    (source,) = status["sources"]
    assert not source["answers"]
    assert 0 <= source["age"] < 60
    assert "status 500" in source["error"]
    assert {row["state"] for row in status["servers"]} == {"unreachable"}
    assert "docker host localhost: last answered" in run("status", "--config", watching.file).stdout


def test_repeated_status_ends_quietly_on_an_interrupt(command: Path, watching: Watched) -> None:
    arguments: list[str | Path] = [command, "status", "--config", watching.file, "--watch", "0.1"]
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process that a shell has started in the background ignores interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout
        assert process.stderr
        shown = [process.stdout.readline() for _ in range(10)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert len([line for line in shown if line.startswith("\x1b[H\x1b[2JSERVICE")]) >= 2


def test_watch_without_a_runtime_socket_is_an_error_of_one_sentence(run: Run, around: Watched) -> None:
    del around.plain["haproxy"]["socket_file_path"]
    around.write()
    done = run("watch", "--config", around.file)
    assert done.returncode == 2
    assert done.stderr == (
        f"dockmaster: {around.file}: haproxy.socket_file_path: is missing; the watcher changes servers there\n"
    )


def test_watch_runs_until_it_gets_a_signal(command: Path, around: Watched, start_haproxy: Callable[[], None]) -> None:
    around.run(1)
    around.first_pass()
    start_haproxy()
    arguments: list[str | Path] = [command, "watch", "--config", around.file]
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "state=ready docker_hosts=1 servers=1\n"
        around.start(2)
        assert process.stdout.readline().startswith("change=added service=web server=020202020202_")
        around.up(1, 2)
        process.terminate()
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_requested_sync_reloads_only_if_a_reload_is_requested(run: Run, watching: Watched) -> None:
    run_directory = watching.settings.haproxy.run_directory
    worker = watching.runtime.info()["Pid"]
    arguments: list[str | Path] = [
        "sync",
        "--requested",
        run_directory,
        "--config",
        watching.file,
        "--template",
        TEMPLATE,
    ]
    sync_request.request(run_directory)
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (0, "dockmaster: nothing to do\n")
    assert not (run_directory / sync_request.FILE).exists()
    assert watching.runtime.info()["Pid"] == worker
    sync_request.request(run_directory, renew=True)
    assert "new servers that stay down are checked as the file says" in run(*arguments).stdout
    assert watching.runtime.info()["Pid"] != worker
    assert not (run_directory / sync_request.FILE).exists()
