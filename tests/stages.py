"""Run test stages by name, and show the result and the time of each.

Each stage works by itself on a new machine. The machine is prepared first, and at the end everything that was started
is stopped and removed, even after a failure or an interrupt.
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
# Stages spend much time waiting, so two run in parallel, except for measurements.
AT_ONCE = 2
ALONE = {"bench", "bench-smoke"}
WITHOUT_ENGINE = {"lint", "unit", "simulation"}
LABEL: dict[str, str | list[str] | bool] = {"label": "dockmaster.test"}
BASE = ".config/molecule/config.yml"
ENGINE_SECONDS = 60
# The lines of pytest and Ansible that say what is wrong, without colours and frames. Only recaps follow them.
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
    "simulation": ["python -m pytest tests/simulation/test_simulated_haproxy.py"],
    **{
        f"molecule-{file.parent.name}": [f"molecule --base-config {BASE} test --scenario-name {file.parent.name}"]
        for file in sorted(ROOT.glob("molecule/*/molecule.yml"))
    },
    "bench": ["ansible-playbook bench/prepare.yml", "python -m bench"],
    "bench-smoke": ["ansible-playbook bench/prepare.yml", "python -m bench --smoke"],
}


def run(command: str, live: bool) -> bool:
    """Run a command, and print its output while it runs, or all at its end."""
    output = [f"\n$ {command}\n"]
    if live:
        print(output[0], end="", flush=True)
    with subprocess.Popen(
        command.split(),
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # In a new session, so that only this process sends it an interrupt.
        start_new_session=True,
    ) as process:
        running.add(process.pid)
        assert process.stdout
        for line in process.stdout:
            output.append(line)
            if live:
                print(line, end="", flush=True)
        process.wait()
        running.remove(process.pid)
    if not live:
        print(*output, sep="", end="", flush=True)
    if process.returncode:
        plain = [FRAME.sub("", COLOUR.sub("", line)).rstrip()[:LONGEST_LINE] for line in output]
        telling = [line for line in plain if TELLING.match(line)] or plain
        failed[command] = [f"exit status {process.returncode}", *telling[-LAST_LINES:]]
    return process.returncode == 0


def run_stage(name: str, live: bool) -> tuple[bool, float]:
    """Run all commands of a stage, even if one of them fails."""
    started = time.monotonic()
    passed = [run(command, live) for command in COMMANDS[name] if not interrupted.is_set()]
    return all(passed), time.monotonic() - started


def run_stages(*names: str) -> dict[str, tuple[bool, float]]:
    """Run stages two at a time, and print the output of the first while it runs. An interrupt ends all of them."""
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
    """Remove what this test run, or an earlier one that was killed, has left."""
    client = docker.from_env()
    for container in client.containers.list(all=True, filters=LABEL):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=LABEL):
        network.remove()
    for volume in client.volumes.list(filters=LABEL):
        volume.remove()


@contextmanager
def engine() -> Iterator[None]:
    """Use the running Docker engine, or start one during the tests."""
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
    """Provide a Docker engine without test hosts of other runs, and remove those of this run at the end."""
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
    # Other stages print much after a failure, so the causes are repeated at the end.
    for command, lines in failed.items():
        print(f"\n{command}:", *lines, sep="\n  ")
    print(f"{passed_count} passed, {len(stages) - passed_count} failed")
    return 0 if passed_count == len(stages) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
