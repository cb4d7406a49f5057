"""What the operator has drained: Docker hosts and containers that get no new requests until they are made ready.

A file says so, beside what was last known: root writes it, and every sync and the watcher go by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from .. import files
from ..config.settings import HAProxySettings
from ..model.endpoint import Endpoint

FILE = "drained.json"

MISSING = 3600.0
"""Seconds that the drain of a container which is not there any more is kept: it may be restarting."""


@dataclass(frozen=True, order=True)
class Drain:
    """One Docker host or container that is drained.

    Attributes:
        docker_host: name of the Docker host.
        container: name or whole id of one of its containers; empty for all of them.
        by: the user who asked for it.
        at: when, in seconds since 1970.
        missing: since when the container is not there, in seconds since 1970; None while it is.
    """

    docker_host: str
    container: str = ""
    by: str = field(default="", compare=False)
    at: float = field(default=0.0, compare=False)
    missing: float | None = field(default=None, compare=False)

    def covers(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint is drained by this."""
        return endpoint.docker_host == self.docker_host and self.container in (
            "",
            endpoint.container_name,
            endpoint.container_id,
        )

    def __str__(self) -> str:
        return f"{self.docker_host}/{self.container}" if self.container else self.docker_host


class Drains(tuple[Drain, ...]):
    """Everything that is drained. To look one endpoint up costs the same however many there are."""

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Drain]:
        return {(one.docker_host, one.container): one for one in reversed(self)}

    def covering(self, endpoint: Endpoint) -> Drain | None:
        """By which drain an endpoint is drained; None if it is not."""
        if not self or endpoint.given_name:
            return None
        names = ("", endpoint.container_name, endpoint.container_id)
        found = (self._by_name.get((endpoint.docker_host, name)) for name in names)
        return next((one for one in found if one), None)


def file_of(settings: HAProxySettings) -> Path:
    """Where the file is."""
    return settings.state_file.with_name(FILE)


def save(path: Path, drains: Iterable[Drain]) -> None:
    """Write what is drained from now on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, json.dumps([asdict(one) for one in sorted(drains)]) + "\n")


def load(path: Path) -> Drains:
    """What is drained; nothing if the file is absent or damaged."""
    try:
        return Drains(
            Drain(
                str(one["docker_host"]),
                str(one["container"]),
                str(one["by"]),
                float(one["at"]),
                None if one.get("missing") is None else float(one["missing"]),
            )
            for one in json.loads(files.read_left(path) or "[]")
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return Drains()


def still_meant(
    drains: Drains, hosts: Iterable[str], listed: Callable[[str], frozenset[str] | None], now: float
) -> Drains:
    """The drains that still mean something.

    The drain of a Docker host that left the configuration is forgotten at once; that of a container only when it has
    been missing for an hour, since it may be restarting.

    Args:
        drains: all of them.
        hosts: the Docker hosts of the configuration; none where playbooks ask them.
        listed: names and ids of the containers of a Docker host; None if that did not answer.
        now: seconds since 1970.
    """
    there = set(hosts)
    kept = []
    for one in drains:
        if there and one.docker_host not in there:
            continue
        names = listed(one.docker_host) if one.container else None
        if names is None:
            kept.append(one)
        elif one.container in names:
            kept.append(replace(one, missing=None))
        elif one.missing is None or one.missing > now:
            kept.append(replace(one, missing=now))
        elif now - one.missing < MISSING:
            kept.append(one)
    return Drains(kept)


class DrainsFile:
    """The same for a process that looks often.

    Args:
        path: of the file.

    Attributes:
        drains: as last read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = files.version(path)
        self.drains = load(path)

    def changed(self) -> bool:
        """Whether what is drained has changed since; the file is then read."""
        seen = files.version(self._path)
        if seen == self._seen:
            return False
        self._seen, before = seen, self.drains
        self.drains = load(self._path)
        return self.drains != before
