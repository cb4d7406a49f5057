"""Run the named test stages, and say how each went and how long it took.

Each stage works alone on a new machine: the machine is prepared first, and what was started is stopped and removed
at the end, also after a failure or an interrupt.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import docker
from docker.errors import DockerException

ROOT = Path(__file__).resolve().parent.parent
LABEL: dict[str, str | list[str] | bool] = {"label": "dockmaster.test"}
ENGINE_SECONDS = 60
COMMANDS = {
    "machine": ["ansible-playbook tests/machine.yml"],
    "lint": [
        "yamllint --strict .",
        "ansible-lint --offline --profile production",
        "ruff check .",
        "ruff format --check .",
        "mypy",
    ],
    "unit": ["pytest tests/unit"],
    **{
        f"molecule-{file.parent.name}": [f"molecule test --scenario-name {file.parent.name}"]
        for file in sorted(ROOT.glob("molecule/*/molecule.yml"))
    },
}


def run(command: str) -> bool:
    """Run a command. Its session is its own, so that an interrupt reaches it once, from here."""
    print(f"\n$ {command}", flush=True)
    with subprocess.Popen(command.split(), cwd=ROOT, start_new_session=True) as process:
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
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

    def stage(name: str) -> bool:
        started = time.monotonic()
        # All of them run: one complaint does not hide the next.
        passed = [run(command) for command in COMMANDS[name]].count(False) == 0
        results[name] = passed, time.monotonic() - started
        return passed

    try:
        if stage("machine"):
            with test_hosts() if any("molecule" in name for name in stages) else nullcontext():
                for name in stages:
                    stage(name)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
    print()
    for name in ["machine", *stages]:
        passed, seconds = results.get(name, (False, 0))
        print(f"{name:<20} {'passed' if passed else 'FAILED' if name in results else 'not run':<8} {seconds:6.0f} s")
    failed = sum(not results.get(name, (False, 0))[0] for name in ["machine", *stages])
    print(f"{len(stages) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
