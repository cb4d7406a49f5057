"""Processes that a measurement starts: how they end, and what they cost."""

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
    """Run a command in the background, with all that it starts, for as long as the block lasts."""
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
    """Wait until a process that was started is ready; raises TooLate with what it said."""
    name = Path(str(process.args[0] if isinstance(process.args, Sequence) else process.args)).name
    try:
        until(name, lambda: process.poll() is not None or condition())
    except TooLate as error:
        raise TooLate(f"{error}:\n{log.read_text()}") from error
    if process.poll() is not None:
        raise TooLate(f"{name} ended with status {process.returncode}:\n{log.read_text()}")


@dataclass(frozen=True)
class Usage:
    """What processes have used.

    Attributes:
        cpu: seconds so far.
        rss: bytes resident, what is shared counted in each.
        pss: bytes, what is shared counted once.
    """

    cpu: float
    rss: int
    pss: int

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(self.cpu + other.cpu, self.rss + other.rss, self.pss + other.pss)


def usage(roots: Sequence[int]) -> dict[str, Usage]:
    """What process trees have used, HAProxy's share (``haproxy``) and the rest (``discovery``) apart.

    A process that has ended counts where its parent waited for it; one that ends in between would not count at all,
    so they are read until they are the same before and after.
    """
    pids = tree(roots)
    for _ in range(TRIES):
        total, before = _usage(pids), pids
        pids = tree(roots)
        if pids == before:
            return total
    raise TooLate(f"the processes of {list(roots)} do not stay the same while they are read {TRIES} times")


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
    """What the kernel says of a process's memory in bytes: nothing, where it has ended and nobody waited for it yet."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {line.split()[0]: int(line.split()[1]) * 1024 for line in lines}


def tree(roots: Iterable[int]) -> list[int]:
    """The processes and all below them."""
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
