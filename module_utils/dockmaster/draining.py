"""Which containers were told to stop: only the watcher hears of it, and every pass has to know.

Docker's list does not show a stop that is under way. Times are those of the machine's monotonic clock, which all
processes share and nobody sets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from . import files

FILE = "draining.json"

Told = Mapping[tuple[str, str], float]
"""Until when, by Docker host and container id."""


def save(folder: Path, told: Told) -> None:
    """Say which containers are about to stop."""
    entries = [[host, container, until] for (host, container), until in sorted(told.items())]
    files.replace(folder / FILE, json.dumps(entries) + "\n")


def load(folder: Path, longest: float) -> dict[tuple[str, str], float]:
    """Those that are, and until when.

    Args:
        folder: the run directory.
        longest: seconds; nobody is about to stop for longer, whatever the file says.
    """
    now = time.monotonic()
    try:
        entries = json.loads(files.read_left(folder / FILE) or "[]")
        return {
            (str(host), str(container)): float(until)
            for host, container, until in entries
            if now < until <= now + longest
        }
    except (ValueError, TypeError, OverflowError, RecursionError, OSError):
        return {}
