"""What the operator has drained: Docker hosts and containers that get no new requests until they are told ready.

A file says so, beside what was last known: root writes it, and every pass and the watcher go by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .. import files
from ..config.settings import HAProxySettings
from ..model.endpoint import Endpoint

FILE = "drained.json"


@dataclass(frozen=True, order=True)
class Drain:
    """One thing that is drained.

    Attributes:
        docker_host: name of the Docker host.
        container: name or whole id of one of its containers; empty for all of them.
        by: who asked for it.
        at: when, in seconds since 1970.
    """

    docker_host: str
    container: str = ""
    by: str = field(default="", compare=False)
    at: float = field(default=0.0, compare=False)

    def covers(self, backend: Endpoint) -> bool:
        """Whether a backend is drained by this."""
        return backend.docker_host == self.docker_host and self.container in (
            "",
            backend.container_name,
            backend.container_id,
        )

    def __str__(self) -> str:
        return f"{self.docker_host}/{self.container}" if self.container else self.docker_host


Drains = tuple[Drain, ...]


def covering(marks: Drains, backend: Endpoint) -> Drain | None:
    """By which mark a backend is drained; None where it is not."""
    return next((mark for mark in marks if mark.covers(backend)), None)


def file_of(settings: HAProxySettings) -> Path:
    """Where the marks are."""
    return settings.state_file.with_name(FILE)


def save(path: Path, marks: Iterable[Drain]) -> None:
    """Say what is drained from now on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, json.dumps([asdict(mark) for mark in sorted(marks)]) + "\n")


def load(path: Path) -> Drains:
    """What is drained; nothing, where the file is absent or damaged."""
    try:
        return tuple(
            Drain(str(one["docker_host"]), str(one["container"]), str(one["by"]), float(one["at"]))
            for one in json.loads(files.read_left(path) or "[]")
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return ()


class DrainedFile:
    """The same for somebody who looks often.

    Args:
        path: of the file.

    Attributes:
        marks: as last read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._look()
        self.marks = load(path)

    def changed(self) -> bool:
        """Whether the file has changed since; it is then read."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen, before = seen, self.marks
        self.marks = load(self._path)
        return self.marks != before

    def _look(self) -> tuple[int, int, int] | None:
        try:
            there = self._path.stat()
        except OSError:
            return None
        return there.st_ino, there.st_mtime_ns, there.st_size
