"""Which servers the watcher has changed lately: what a sync was told by Docker before that is older.

A line each, with the machine's monotonic clock, which all processes share and nobody sets.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from .. import files
from ..haproxy.servers import Key

FILE = "changed_servers"
KEPT = 300.0
"""Seconds after which nobody asks any more."""
_LARGEST = 256 * 1024


def add(folder: Path, server: Key) -> None:
    """Say that a server was changed now."""
    path = folder / FILE
    # A disk that is full is no reason not to change servers: the watcher's next look puts right what a sync undoes.
    with suppress(OSError):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic():.6f} {'/'.join(server)}\n")
            size = file.tell()
        if size > _LARGEST:
            recent = [line for when, line in _lines(path) if when > time.monotonic() - KEPT]
            files.replace(path, "".join(f"{line}\n" for line in recent))


def since(folder: Path, when: float) -> frozenset[Key]:
    """Those that were changed after a time of the monotonic clock."""
    paths = (line.partition(" ")[2].partition("/") for at, line in _lines(folder / FILE) if at > when)
    return frozenset((section, name) for section, _, name in paths)


def _lines(path: Path) -> list[tuple[float, str]]:
    """What stands there; a damaged line says nothing."""
    found = []
    for line in (files.read_left(path) or "").splitlines():
        with suppress(ValueError):
            found.append((float(line.partition(" ")[0]), line))
    return found
