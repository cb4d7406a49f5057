"""What every source gives: an answer when it is asked, and messages while it is followed."""

from __future__ import annotations

import queue
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..model.endpoint import Endpoint, Rejection
from ..model.event import Event

Known = Mapping[str, Collection[str]]
"""Ids of containers by the service that they were attributed to when they were last seen."""


@dataclass(frozen=True)
class Answer:
    """What a source says.

    Attributes:
        endpoints: the healthy ones by the service's name; an empty list is a fact.
        unhealthy: those that run, and that the source does not hold fit: unhealthy or paused.
        rejected: containers that were meant for a service and cannot serve it, with the reason.
        unclear: ids of containers whose image would have to be asked for.
        running: ids of those containers that run, healthy or not, whatever they serve.
        names: the name of every container in the list by its id.
    """

    endpoints: Mapping[str, Sequence[Endpoint]]
    unhealthy: Mapping[str, Sequence[Endpoint]] = field(default_factory=dict)
    rejected: Sequence[Rejection] = ()
    unclear: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Heard:
    """Something happened to a container.

    Attributes:
        source: the source's name.
        event: what happened.
        at: when it was heard, by the monotonic clock.
    """

    source: str
    event: Event
    at: float


@dataclass(frozen=True)
class Listing:
    """What a source lists.

    Attributes:
        source: its name.
        entries: as the source shows them; None where nothing has changed since the last listing.
        ids: the containers that were asked about; None for all.
        asked: when the source was asked, by the monotonic clock.
        events: what led to it: the last event of each container.
    """

    source: str
    entries: Sequence[Any] | None
    ids: frozenset[str] | None
    asked: float
    events: Sequence[Heard] = ()


@dataclass(frozen=True)
class Unreachable:
    """A source does not answer.

    Attributes:
        source: its name.
        reason: a sentence.
        why: the same without what was asked.
    """

    source: str
    reason: str
    why: str


Message = Heard | Listing | Unreachable
Messages = queue.SimpleQueue[Message]


class Follower(Protocol):
    """Follows one source, and puts what it learns into a queue."""

    def end(self) -> None:
        """Stop following."""

    def read_anew(self) -> None:
        """List everything the next time, even if nothing has changed."""


class Source(Protocol):
    """One source of endpoints: it lists, and then tells changes."""

    @property
    def name(self) -> str:
        """What it is called in server names, messages and reports."""

    def ask(self, known: Known, timeout: int) -> Answer:
        """Ask once.

        Args:
            known: what was attributed to services before.
            timeout: seconds.

        Raises:
            SourceError: it is unreachable.
        """

    def read(self, entries: Sequence[Any], known: Known) -> Answer:
        """What the entries of a listing mean."""

    def follow(self, messages: Messages, resync_interval: float) -> Follower:
        """Follow it: everything is listed at first, every so many seconds, and when something has changed."""
