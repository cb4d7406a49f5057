"""What was last known: the endpoints of each service, for when their source does not answer.

A file that every sync writes. It also says by which selection containers were attributed to a service: under another
selection that is no answer any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import files
from ..config.settings import Service
from ..model.endpoint import Endpoint, in_order

BEFORE = "backends.json"
"""The file of an earlier release, in the same folder."""

KnownEndpoints = Mapping[str, Sequence[Endpoint]]
"""Endpoints by the service's name."""


@dataclass(frozen=True)
class LastKnown:
    """What the file says.

    Attributes:
        endpoints: by service.
        left: since when those among them are not of the service any more, by the server's name, in seconds of the
            monotonic clock.
        selections: the digest of each service's selection.
        answered: when sources that were unreachable had last answered, in seconds since 1970.
    """

    endpoints: KnownEndpoints = field(default_factory=dict)
    left: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    selections: Mapping[str, str] = field(default_factory=dict)
    answered: Mapping[str, float] = field(default_factory=dict)

    def attributed(self, source: str, services: Collection[Service]) -> dict[str, set[str]]:
        """Ids of a source's containers by the service that they are of, as far as the same selection found them."""
        found: dict[str, set[str]] = {}
        for service in services:
            if self.selections.get(service.name) != selection(service):
                continue
            left = self.left.get(service.name, {})
            for one in self.endpoints.get(service.name, ()):
                if one.docker_host == source and one.server_name(with_host=service.named_with_host) not in left:
                    found.setdefault(service.name, set()).add(one.container_id)
        return found


def selection(service: Service) -> str:
    """A digest of all that decides which containers are of a service."""
    wanted = service.discovery
    text = repr(
        (
            wanted.image,
            wanted.allowed_images,
            wanted.container_name,
            wanted.network,
            wanted.compose_project,
            wanted.label_filters,
            wanted.labels,
        )
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load(path: Path) -> LastKnown:
    """Read the file; one that is absent or damaged knows nothing."""
    try:
        data = json.loads(files.read(path) or files.read(path.with_name(BEFORE)) or "{}")
        # An earlier release knew the endpoints alone, and kept them in another file.
        before = {name: {"endpoints": some} for name, some in data.get("backends", {}).items()}
        services = data.get("services", before)
        return LastKnown(
            {
                str(name): [Endpoint.from_dict(entry) for entry in one.get("endpoints", ())]
                for name, one in services.items()
            },
            {str(name): _times(one.get("left", {})) for name, one in services.items()},
            {str(name): str(one.get("selection", "")) for name, one in services.items()},
            _times(data.get("answered", {})),
        )
    except (ValueError, AttributeError, TypeError):
        return LastKnown()


def _times(data: Mapping[object, object]) -> dict[str, float]:
    return {str(key): float(str(at)) for key, at in data.items()}


def save(path: Path, known: LastKnown) -> None:
    """Write what is known now, unless the file says so already."""
    services = {
        name: {
            "endpoints": [endpoint.as_dict() for endpoint in in_order(found)],
            "left": dict(known.left.get(name, {})),
            "selection": known.selections.get(name, ""),
        }
        for name, found in known.endpoints.items()
    }
    text = json.dumps({"services": services, "answered": dict(known.answered)}, sort_keys=True) + "\n"
    if files.read(path) != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, text)


class LastKnownFile:
    """The same for a process that asks often: the file is read again only when it has changed.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._known = LastKnown()

    def read(self) -> LastKnown:
        """What it says now."""
        seen = files.version(self._path)
        if seen is None or seen != self._seen:
            self._seen, self._known = seen, load(self._path)
        return self._known
