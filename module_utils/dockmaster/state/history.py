"""What passes and the watcher leave for ``dockmaster status``: the last change of each server, the last answer of each
Docker host. Each writes a file of its own into the run directory."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import files

MOST = 2000
"""Changes that are remembered: the newest."""

WRITERS = ("sync", "watch")

_AHEAD = 86400.0
"""Seconds that a clock may have been put back by since."""


@dataclass
class History:
    """What one of them, or both together, know.

    Attributes:
        changes: by ``section/name`` of the server: when in seconds since 1970, what, and why.
        answers: by Docker host: when it last answered, in seconds since 1970.
    """

    changes: dict[str, tuple[float, str, str]] = field(default_factory=dict)
    answers: dict[str, float] = field(default_factory=dict)

    def changed(self, server: str, kind: str, cause: str) -> None:
        """Remember a change that was made now."""
        self.changes.pop(server, None)
        self.changes[server] = (time.time(), kind, cause)
        while len(self.changes) > MOST:
            del self.changes[next(iter(self.changes))]

    def answered(self, host: str) -> None:
        """Remember that a Docker host has answered now."""
        self.answers[host] = time.time()


def save(folder: Path, writer: str, what: History) -> None:
    """Leave it for others."""
    text = json.dumps({"changes": what.changes, "answers": what.answers})
    files.replace(folder / f"{writer}.json", f"{text}\n")


def load(folder: Path, writers: tuple[str, ...] = WRITERS) -> History:
    """What they left, the newest of each; a file that is absent or damaged tells nothing."""
    together = History()
    for data in (_read(folder / f"{writer}.json") for writer in writers):
        for server, (at, kind, cause) in data.changes.items():
            if at > together.changes.get(server, (0.0,))[0]:
                together.changes[server] = (at, kind, cause)
        for host, at in data.answers.items():
            together.answers[host] = max(at, together.answers.get(host, 0.0))
    return together


def _read(path: Path) -> History:
    try:
        data: Mapping[str, Any] = json.loads(files.read_left(path) or "{}")
        return History(
            {str(key): (_past(at), str(kind), str(why)) for key, (at, kind, why) in data.get("changes", {}).items()},
            {str(host): _past(at) for host, at in data.get("answers", {}).items()},
        )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, OSError):
        return History()


def _past(at: Any) -> float:
    """A time that was, in seconds since 1970; raises ValueError for any other."""
    if not 0.0 <= float(at) <= time.time() + _AHEAD:
        raise ValueError(f"{at} is no time that was")
    return float(at)
