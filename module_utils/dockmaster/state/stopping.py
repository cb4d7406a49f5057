"""Which containers were told to stop: only the watcher hears of it, and every pass has to know.

Docker's list does not show a stop that is under way. Times are those of the machine's monotonic clock, which all
processes share and nobody sets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import files

FILE = "draining.json"


@dataclass(frozen=True)
class Stopping:
    """A container that was told to stop.

    Attributes:
        until: when it is taken to go on all the same.
        ports: where it was reached when it was told: one that is reached elsewhere has been started again since.
    """

    until: float
    ports: frozenset[int]


Told = Mapping[tuple[str, str], Stopping]
"""By Docker host and container id."""


def save(folder: Path, told: Told) -> None:
    """Say which containers are about to stop."""
    entries = [[*container, told[container].until, sorted(told[container].ports)] for container in sorted(told)]
    files.replace(folder / FILE, json.dumps(entries) + "\n")


def load(folder: Path, longest: float) -> dict[tuple[str, str], Stopping]:
    """Those that are.

    Args:
        folder: the run directory.
        longest: seconds; nobody is about to stop for longer, whatever the file says.
    """
    now = time.monotonic()
    try:
        entries = json.loads(files.read_left(folder / FILE) or "[]")
        return {
            (str(host), str(container)): Stopping(float(until), frozenset(map(int, ports)))
            for host, container, until, ports in entries
            if now < until <= now + longest
        }
    except (ValueError, TypeError, OverflowError, RecursionError, OSError):
        return {}
