"""Start and end the processes of a measurement, and measure what they use."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .waiting import TooLate, until

TRIES = 100
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def started(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the background during the block, and end it with all its children."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                continue
        process.wait(10)


def ready(process: subprocess.Popen[bytes], log: Path, condition: Callable[[], object]) -> None:
    """Wait until a started process is ready. Raises TooLate with its log."""
    name = Path(str(process.args[0] if isinstance(process.args, Sequence) else process.args)).name
    try:
        until(name, lambda: process.poll() is not None or condition())
    except TooLate as error:
        raise TooLate(f"{error}:\n{log.read_text()}") from error
    if process.poll() is not None:
        raise TooLate(f"{name} ended with status {process.returncode}:\n{log.read_text()}")


@dataclass(frozen=True)
class Usage:
    """What processes use.

    Attributes:
        cpu: seconds of CPU time so far.
        rss: resident bytes; shared memory counts in each process.
        pss: bytes in proportion; shared memory counts once.
    """

    cpu: float
    rss: int
    pss: int

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of both."""
        return Usage(self.cpu + other.cpu, self.rss + other.rss, self.pss + other.pss)


def usage(roots: Sequence[int]) -> dict[str, Usage]:
    """Return what process trees use: HAProxy (``haproxy``) and everything else (``discovery``).

    The CPU time of an ended process counts once its parent has waited for it. One that ends while they are read would
    not count at all, so they are read again until the processes are the same before and after.
    """
    pids = tree(roots)
    for _ in range(TRIES):
        total, before = _usage(pids), pids
        pids = tree(roots)
        if pids == before:
            return total
    raise TooLate(f"the processes of {list(roots)} changed each of {TRIES} times that they were read")


def _usage(pids: Iterable[int]) -> dict[str, Usage]:
    total = {"haproxy": Usage(0, 0, 0), "discovery": Usage(0, 0, 0)}
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, _, rest = stat.partition("(")[2].rpartition(")")
        fields = rest.split()
        memory = _memory(pid)
        cpu = sum(int(field) for field in fields[11:15]) / _TICKS
        whose = "haproxy" if name == "haproxy" else "discovery"
        total[whose] += Usage(cpu, memory.get("Rss:", 0), memory.get("Pss:", 0))
    return total


def _memory(pid: int) -> dict[str, int]:
    """Return the memory of a process in bytes; empty if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {line.split()[0]: int(line.split()[1]) * 1024 for line in lines}


def tree(roots: Iterable[int]) -> list[int]:
    """Return the processes and all their descendants."""
    found = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += map(int, children.read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found
