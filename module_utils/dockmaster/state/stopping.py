"""Which containers were sent a signal that stops them: only the watcher hears of it, and every sync has to know.

Docker's list does not show a stop that is under way. Times are those of the machine's monotonic clock, which all
processes share and nobody sets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..model.endpoint import Endpoint

FILE = "stopping.json"

ContainerKey = tuple[str, str]
"""Docker host and id."""


@dataclass(frozen=True)
class Stopping:
    """A container that is about to stop.

    Attributes:
        until: when it is taken to go on all the same.
        ports: where it was reached when it was sent the signal: one that is reached elsewhere was started again since.
    """

    until: float
    ports: frozenset[int]


Stops = Mapping[ContainerKey, Stopping]
"""By Docker host and container id."""


def stopping_of(stops: Stops, endpoint: Endpoint, now: float) -> Stopping | None:
    """Whether an endpoint's container is about to stop."""
    one = stops.get((endpoint.docker_host, endpoint.container_id))
    return one if one and endpoint.port in one.ports and now < one.until else None


def save(folder: Path, stops: Stops) -> None:
    """Write which containers are about to stop."""
    entries = [[*container, stops[container].until, sorted(stops[container].ports)] for container in sorted(stops)]
    files.replace(folder / FILE, json.dumps(entries) + "\n")


def load(folder: Path, longest: float, now: float | None = None) -> dict[ContainerKey, Stopping]:
    """Which containers are about to stop.

    Args:
        folder: the run directory.
        longest: seconds; no container is about to stop for longer, whatever the file says.
        now: the monotonic clock; without it, as it is.
    """
    now = time.monotonic() if now is None else now
    try:
        entries = json.loads(files.read_left(folder / FILE) or "[]")
        return {
            (str(host), str(container)): Stopping(float(until), frozenset(map(int, ports)))
            for host, container, until, ports in entries
            if now < until <= now + longest
        }
    except (ValueError, TypeError, OverflowError, RecursionError, OSError):
        return {}


class StoppingContainers:
    """The same for the watcher, which hears of it; the file follows.

    Args:
        folder: the run directory.
        grace: seconds after a signal, after which a container that still runs gets traffic again.
        now: the monotonic clock.
    """

    def __init__(self, folder: Path, grace: float, now: float) -> None:
        self._folder = folder
        self.grace = grace
        self.stops = load(folder, grace, now)

    def begin(self, container: ContainerKey, heard: float, ports: Iterable[int]) -> None:
        """A container was sent a signal that stops it."""
        self.stops[container] = Stopping(heard + self.grace, frozenset(ports))

    def end(self, container: ContainerKey) -> bool:
        """A container is gone, or was started again; returns whether it was about to stop."""
        return self.stops.pop(container, None) is not None

    def over(self, now: float) -> list[ContainerKey]:
        """Those that still run long after the signal; they are not about to stop any more."""
        over = [container for container, one in self.stops.items() if one.until <= now]
        for container in over:
            del self.stops[container]
        return over

    @property
    def next(self) -> float | None:
        """When the first of them is over, by the monotonic clock."""
        return min((one.until for one in self.stops.values()), default=None)

    def save(self) -> None:
        """Write the file."""
        save(self._folder, self.stops)
