"""Docker's events: which container something happened to. What is so now, the list says.

A container's labels can overwrite an event's attributes, so an event only says "look at this id"; of the
attributes none but a signal's number is looked at, and a wrong one costs a drain that is undone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from .endpoint import valid_container_id

GONE = frozenset({"die", "stop", "destroy"})
"""After one of these the container runs no more."""

_OF_CONTAINERS = ("start", "unpause", "pause", "kill", "die", "stop", "destroy", "health_status", "rename")
_OF_NETWORKS = ("connect", "disconnect")

FILTERS = {"type": ["container", "network"], "event": [*_OF_CONTAINERS, *_OF_NETWORKS]}
"""What Docker is asked for: every probe of a HEALTHCHECK would be three more events."""

_HARMLESS = frozenset({1, 10, 12, 28})
"""HUP, USR1, USR2 and WINCH: programs are told something else by them than to stop."""


@dataclass(frozen=True)
class Event:
    """Something happened to a container.

    Attributes:
        container: its whole id.
        action: ``start``, ``kill``, ``die``, ``health_status: healthy``, ``connect``, ...
        signal: of a ``kill``: its number, if it is one.
    """

    container: str
    action: str
    signal: int | None = None

    @classmethod
    def parse(cls, line: bytes) -> Event | None:
        """Read a line of the stream; None for what tells nothing."""
        try:
            raw = json.loads(line)
            attributes = raw["Actor"].get("Attributes") or {}
            of_network = raw["Type"] == "network"
            container = valid_container_id(attributes.get("container") if of_network else raw["Actor"]["ID"])
            number = str(attributes.get("signal", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        signal = int(number) if number.isascii() and number.isdigit() and len(number) < 3 else None
        return cls(container, str(raw.get("Action"))[:64], signal)

    def stops(self, signals: tuple[int, ...] | None) -> bool:
        """Whether it is a signal after which a container is about to stop.

        Args:
            signals: those that are, or None for all but the harmless ones.
        """
        if self.action != "kill":
            return False
        return self.signal not in _HARMLESS if signals is None else self.signal in signals
