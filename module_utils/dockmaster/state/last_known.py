"""What was last known: the backends of each Docker host, for when one of them does not answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from .. import files
from ..model.endpoint import Endpoint, in_order

KnownEndpoints = dict[str, list[Endpoint]]


def load(path: Path) -> KnownEndpoints:
    """Backends by service; a file that is absent or damaged knows none."""
    try:
        data = json.loads(files.read(path) or "{}")
        return {
            str(service): [Endpoint.from_dict(entry) for entry in backends]
            for service, backends in data.get("backends", {}).items()
        }
    except (ValueError, AttributeError, TypeError):
        return {}


class LastKnown:
    """The same for somebody who asks often: the file is read again only where it has changed.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._backends: KnownEndpoints = {}
        self._of_host: dict[str, KnownEndpoints] = {}

    def backends(self) -> KnownEndpoints:
        """All backends by service."""
        try:
            there = self._path.stat()
            seen = (there.st_ino, there.st_mtime_ns, there.st_size)
        except FileNotFoundError:
            seen = None
        if seen is None or seen != self._seen:
            self._seen, self._backends, self._of_host = seen, load(self._path), {}
            for service, backends in self._backends.items():
                for one in backends:
                    self._of_host.setdefault(one.docker_host, {}).setdefault(service, []).append(one)
        return self._backends

    def of_host(self, host: str) -> KnownEndpoints:
        """Those of one Docker host by service."""
        self.backends()
        return self._of_host.get(host, {})


def answered(path: Path) -> dict[str, float]:
    """When Docker hosts that were silent had last answered, in seconds since 1970: known also after a reboot."""
    try:
        data = json.loads(files.read(path) or "{}")
        return {str(host): float(at) for host, at in data.get("answered", {}).items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def save(path: Path, backends: Mapping[str, Sequence[Endpoint]], answered: Mapping[str, float] | None = None) -> None:
    """Write what is known now, unless the file says so already.

    Args:
        path: of the file.
        backends: by service.
        answered: when hosts that are silent now have last answered.
    """
    known = {name: [backend.as_dict() for backend in found] for name, found in backends.items()}
    data = {"backends": known, "answered": dict(answered or {})}
    text = json.dumps(data, sort_keys=True) + "\n"
    if files.read(path) != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, text)


def with_last_known(
    found: Mapping[str, Sequence[Endpoint]], known: Mapping[str, Sequence[Endpoint]], unknown_hosts: Collection[str]
) -> KnownEndpoints:
    """What was found, and for each host that did not answer what was last known of it."""
    return {
        service: in_order(backends, (last for last in known.get(service, ()) if last.docker_host in unknown_hosts))
        for service, backends in found.items()
    }
