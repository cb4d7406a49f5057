"""The sign of life that the watcher leaves: as long as it is young, periodic syncs have nothing to do."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

FILE = "alive"
INTERVAL = 1.0
"""Seconds from one touch to the next, at the least."""


def touch(folder: Path) -> None:
    """Say that the watcher's loop goes round, and that HAProxy answers it."""
    # What cannot be written makes periodic syncs take over: that is right then.
    with suppress(OSError):
        (folder / FILE).touch()
