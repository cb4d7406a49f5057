"""Run the named test stages, and say how each went and how long it took.

Each stage works alone on a new machine: the machine is prepared first, and what was started is stopped and removed
at the end, also after a failure or an interrupt.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import docker
from docker.errors import DockerException

ROOT = Path(__file__).resolve().parent.parent
# Stages wait much, for hosts, cron and others, so two go side by side; but for those that measure.
AT_ONCE = 2
ALONE = {"bench", "bench-smoke"}
WITHOUT_ENGINE = {"lint", "unit"}
LABEL: dict[str, str | list[str] | bool] = {"label": "dockmaster.test"}
BASE = ".config/molecule/config.yml"
ENGINE_SECONDS = 60
# The lines that say what is wrong, of pytest and of Ansible, without colours and frames: what follows them is recaps.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"^ *│ ?")
TELLING = re.compile(r"E  |FAILED |ERROR |\[ERROR\]|fatal: ")
LAST_LINES = 12
WIDEST = 240
LONGEST_LINE = 1000
ENVIRONMENT = {**os.environ, "COLUMNS": str(WIDEST)}
running: set[int] = set()
failed: dict[str, list[str]] = {}
interrupted = threading.Event()
COMMANDS = {
    "machine": ["ansible-playbook tests/machine.yml"],
    "lint": [
        "yamllint --strict .",
        "ansible-lint --offline --profile production",
        "ruff check .",
        "ruff format --check .",
        "mypy",
    ],
    "unit": ["pytest -n 2 tests/unit"],
    **{
        f"molecule-{file.parent.name}": [f"molecule --base-config {BASE} test --scenario-name {file.parent.name}"]
        for file in sorted(ROOT.glob("molecule/*/molecule.yml"))
    },
    "bench": ["ansible-playbook bench/prepare.yml", "python -m bench"],
    "bench-smoke": ["ansible-playbook bench/prepare.yml", "python -m bench --smoke"],
}


def run(command: str, live: bool) -> bool:
    """Run a command, and print what it says as it goes or all at its end."""
    said = [f"\n$ {command}\n"]
    if live:
        print(said[0], end="", flush=True)
    with subprocess.Popen(
        command.split(),
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A session of its own, so that an interrupt reaches it once: from here.
        start_new_session=True,
    ) as process:
        running.add(process.pid)
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            if live:
                print(line, end="", flush=True)
        process.wait()
        running.remove(process.pid)
    if not live:
        print(*said, sep="", end="", flush=True)
    if process.returncode:
        plain = [FRAME.sub("", COLOUR.sub("", line)).rstrip()[:LONGEST_LINE] for line in said]
        telling = [line for line in plain if TELLING.match(line)] or plain
        failed[command] = [f"exit status {process.returncode}", *telling[-LAST_LINES:]]
    return process.returncode == 0


def run_stage(name: str, live: bool) -> tuple[bool, float]:
    """Run all commands of a stage: one complaint does not hide the next."""
    started = time.monotonic()
    passed = [run(command, live) for command in COMMANDS[name] if not interrupted.is_set()]
    return all(passed), time.monotonic() - started


def run_stages(*names: str) -> dict[str, tuple[bool, float]]:
    """Run stages, two at a time, the first as one looks on; when this is interrupted, so are they."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return dict(zip(names, pool.map(run_stage, names, [name == names[0] for name in names]), strict=True))
        except KeyboardInterrupt:
            interrupted.set()
            for session in running:
                with suppress(ProcessLookupError):
                    os.killpg(session, signal.SIGINT)
            raise


def answers() -> bool:
    """Whether a Docker engine answers."""
    try:
        return bool(docker.from_env(timeout=10).ping())
    except DockerException:
        return False


def sweep() -> None:
    """Remove what a test run left: an earlier one that was killed, or this one."""
    client = docker.from_env()
    for container in client.containers.list(all=True, filters=LABEL):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=LABEL):
        network.remove()
    for volume in client.volumes.list(filters=LABEL):
        volume.remove()


@contextmanager
def engine() -> Iterator[None]:
    """Use the engine that answers, or one of our own for as long as the tests take."""
    if answers():
        yield
        return
    with (
        tempfile.NamedTemporaryFile("w+", prefix="dockmaster-test.", suffix=".log") as log,
        subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            deadline = time.monotonic() + ENGINE_SECONDS
            while not answers():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"dockerd does not start:\n{Path(log.name).read_text()}")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


@contextmanager
def test_hosts() -> Iterator[None]:
    """A machine with an engine that has no test hosts but those of this run, and has none at its end."""
    with (Path(tempfile.gettempdir()) / "dockmaster-test.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with engine():
            sweep()
            try:
                yield
            finally:
                sweep()


def main(stages: list[str]) -> int:
    """Run the stages, and return the exit status."""
    unknown = [stage for stage in stages if stage not in COMMANDS]
    if unknown:
        print(f"No such stage: {', '.join(unknown)}. There are {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results: dict[str, tuple[bool, float]] = {}
    try:
        results.update(run_stages("machine"))
        if results["machine"][0]:
            with nullcontext() if WITHOUT_ENGINE.issuperset(stages) else test_hosts():
                results.update(run_stages(*(name for name in stages if name not in ALONE)))
                for name in stages:
                    if name in ALONE:
                        results.update(run_stages(name))
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)

    stages = ["machine", *stages]
    print()
    for name in stages:
        passed, seconds = results.get(name, (False, 0.0))
        word = "passed" if passed else "FAILED" if name in results else "not run"
        print(f"{name:<20} {word:<8} {seconds:6.0f} s")
    passed_count = sum(passed for passed, _ in results.values())
    # Stages side by side print much after a failure: the cause is shown where the eye falls first.
    for command, lines in failed.items():
        print(f"\n{command}:", *lines, sep="\n  ")
    print(f"{passed_count} passed, {len(stages) - passed_count} failed")
    return 0 if passed_count == len(stages) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
