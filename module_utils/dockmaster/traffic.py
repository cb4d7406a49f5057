"""Who gets traffic: the one rule. Facts in, the wanted state of a server and its reason out.

No clock, no socket and no file: the time is a fact like another. Syncs, the watcher, ``status``, ``explain``, ``drain``
and Ansible's modules all decide by ``decide``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from .catalog import Condition, Entry
from .haproxy.runtime import DRAIN, MAINT, ServerState
from .state.drains import Drain
from .state.stopping import Stopping


class Wanted(StrEnum):
    """What is wanted of a server."""

    SERVE = "serve"
    """It gets its share of new requests as soon as HAProxy's check passes."""
    DRAIN = "drain"
    """It gets no new requests; those under way finish. It may serve again."""
    LEAVE = "leave"
    """The same, and then it is removed."""


class Standing(IntEnum):
    """How fit a server is to serve; the lower, the better. A worse one serves only while no better one is usable."""

    HEALTHY = 0
    UNHEALTHY = 1
    LEFT = 2
    STOPPING = 3
    DRAINED = 4
    GONE = 5


@dataclass(frozen=True)
class ServiceFacts:
    """What one server's decision has to know of its service.

    Attributes:
        healthy: how many of its endpoints are healthy, not stopping and not drained.
        best: the best standing of those servers that HAProxy finds usable now; None if none is.
    """

    healthy: int
    best: Standing | None


@dataclass(frozen=True)
class Facts:
    """What is so of one server.

    Attributes:
        entry: what its source last said; None if no source knows it any more.
        stopping: its container was sent a signal that stops it.
        drain: by what the operator has drained it.
        state: what HAProxy reports; None if it has no such server.
        served: whether it has served before, as far as anybody knows.
        drain_timeout: seconds that what left its service may go on where nothing takes its place.
        now: the monotonic clock.
        service: of its service.
    """

    entry: Entry | None
    stopping: Stopping | None
    drain: Drain | None
    state: ServerState | None
    served: bool
    drain_timeout: float
    now: float
    service: ServiceFacts


@dataclass(frozen=True)
class Verdict:
    """What is wanted of a server, and why.

    Attributes:
        wanted: what is wanted.
        reason: a sentence without its subject and its full stop.
        rule: the name of the rule that decided.
        standing: how fit it is.
        until: when it has to be decided anew, by the monotonic clock; None if only facts change it.
    """

    wanted: Wanted
    reason: str
    rule: str
    standing: Standing
    until: float | None = None

    @property
    def waits(self) -> bool:
        """Whether it serves only until a better server is usable."""
        return self.wanted is Wanted.SERVE and self.standing > Standing.HEALTHY


def standing_of(entry: Entry | None, stopping: Stopping | None, drain: Drain | None, healthy: int) -> Standing:
    """How fit a server is.

    Args:
        entry: what its source last said.
        stopping: its container was sent a signal that stops it.
        drain: by what the operator has drained it.
        healthy: how many endpoints of its service nothing speaks against.
    """
    if entry is None:
        return Standing.GONE
    if entry.condition is Condition.PREVIOUS:
        return Standing.GONE if healthy or drain else Standing.HEALTHY
    if entry.condition is Condition.STATIC:
        return Standing.LEFT if healthy and not entry.service.keep_default_servers else Standing.HEALTHY
    if drain:
        return Standing.DRAINED
    if stopping or entry.condition is Condition.PAUSED:
        return Standing.STOPPING
    if entry.condition is Condition.LEFT:
        return Standing.LEFT
    return Standing.UNHEALTHY if entry.condition is Condition.UNHEALTHY else Standing.HEALTHY


def is_plain(entry: Entry, stopping: Stopping | None, drain: Drain | None) -> bool:
    """Whether an endpoint is healthy and nothing speaks against it: it then counts for its service."""
    return entry.condition is Condition.HEALTHY and stopping is None and drain is None


def best_of(states: Iterable[tuple[Standing, ServerState | None]]) -> Standing | None:
    """The best standing of the usable ones among these servers."""
    return min((standing for standing, state in states if state and state.usable and state.weight), default=None)


@dataclass(frozen=True)
class Rule:
    """One step of the decision.

    Attributes:
        name: what it is called in reports.
        question: what it asks.
        apply: gives the verdict where it decides, as what is wanted and the reason, and else None.
    """

    name: str
    question: str
    apply: Callable[[Facts, Standing], tuple[Wanted, str] | None]


def _gone(facts: Facts, standing: Standing) -> tuple[Wanted, str] | None:
    if standing is not Standing.GONE:
        return None
    replaced = facts.service.best is not None and facts.service.best < standing
    if facts.service.healthy and not replaced and facts.state and facts.state.usable:
        return Wanted.SERVE, "no source lists it any more, and none of those in its place is usable yet"
    return Wanted.LEAVE, "no source lists it any more"


def _drained(facts: Facts, standing: Standing) -> tuple[Wanted, str] | None:
    if standing is not Standing.DRAINED or not facts.drain:
        return None
    left = facts.entry is not None and facts.entry.condition is Condition.LEFT
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts.drain.at))
    return Wanted.LEAVE if left else Wanted.DRAIN, f"{facts.drain} is drained, by {facts.drain.by or 'root'} at {at}"


def _healthy(facts: Facts, standing: Standing) -> tuple[Wanted, str] | None:
    if standing is not Standing.HEALTHY or facts.entry is None:
        return None
    words = {
        Condition.STATIC: "it is a default server, and no container serves in its place",
        Condition.PREVIOUS: "it is gone, and the service keeps its last servers (use_previous_backends)",
    }
    if facts.entry.condition is Condition.STATIC and facts.entry.service.keep_default_servers:
        return Wanted.SERVE, "it is a default server that serves beside the others (keep_default_servers)"
    return Wanted.SERVE, words.get(facts.entry.condition, "its container runs and is healthy")


def _better(facts: Facts, standing: Standing) -> tuple[Wanted, str] | None:
    best = facts.service.best
    if best is None or best >= standing:
        return None
    leaves = standing is Standing.LEFT
    return Wanted.LEAVE if leaves else Wanted.DRAIN, f"{_what(facts, standing)}, and a better server is usable"


def _never_served(facts: Facts, standing: Standing) -> tuple[Wanted, str] | None:
    if facts.served and not (facts.state and facts.state.admin == MAINT):
        return None
    wanted = Wanted.LEAVE if standing is Standing.LEFT else Wanted.DRAIN
    return wanted, f"{_what(facts, standing)}, and it has not served before"


def _left(facts: Facts, standing: Standing) -> tuple[Wanted, str] | None:
    if standing is not Standing.LEFT or facts.entry is None:
        return None
    if facts.state and not facts.state.passes:
        return Wanted.LEAVE, f"{_what(facts, standing)}, and HAProxy's check fails"
    if facts.service.healthy:
        return None
    if facts.state and facts.state.admin == DRAIN:
        return Wanted.LEAVE, f"{_what(facts, standing)}, and is on its way out"
    if facts.now < facts.entry.since + facts.drain_timeout:
        return None
    return Wanted.LEAVE, f"{_what(facts, standing)}, and nothing takes its place within {facts.drain_timeout:g} s"


def _ends_soon(facts: Facts, standing: Standing) -> tuple[Wanted, str] | None:
    if standing is not Standing.STOPPING or facts.state is None or facts.state.admin != DRAIN:
        return None
    if facts.service.best is not None:
        return Wanted.DRAIN, f"{_what(facts, standing)}, and another server is usable"
    if not facts.state.passes:
        return Wanted.DRAIN, f"{_what(facts, standing)}, and HAProxy's check fails"
    return None


def _last(facts: Facts, standing: Standing) -> tuple[Wanted, str] | None:
    return Wanted.SERVE, f"{_what(facts, standing)}, and no better server is usable"


RULES = (
    Rule("gone", "Does a source list it?", _gone),
    Rule("drained", "Has the operator drained it?", _drained),
    Rule("healthy", "Is it healthy?", _healthy),
    Rule("better", "Is a better server of the service usable?", _better),
    Rule("never served", "Has it served before?", _never_served),
    Rule("left", "May it go on though it is not of the service any more?", _left),
    Rule("ends soon", "Has it to come back though it ends soon?", _ends_soon),
    Rule("last", "Is there nothing better?", _last),
)
"""In their order: the first one that decides has decided."""


def decide(facts: Facts) -> Verdict:
    """What is wanted of a server."""
    standing = standing_of(facts.entry, facts.stopping, facts.drain, facts.service.healthy)
    for rule in RULES:
        if found := rule.apply(facts, standing):
            return Verdict(*found, rule.name, standing, _until(facts, standing))
    raise AssertionError("the last rule always decides")


def _until(facts: Facts, standing: Standing) -> float | None:
    if standing is Standing.STOPPING and facts.stopping:
        return facts.stopping.until
    if standing is Standing.LEFT and facts.entry and facts.now < facts.entry.since + facts.drain_timeout:
        return facts.entry.since + facts.drain_timeout
    return None


def _what(facts: Facts, standing: Standing) -> str:
    """What speaks against a server."""
    if standing is Standing.STOPPING:
        return "its container is stopping" if facts.stopping else "its container is paused"
    if standing is Standing.LEFT:
        static = facts.entry is not None and facts.entry.condition is Condition.STATIC
        return "it is a default server" if static else "it is not of the service any more"
    return "its container is unhealthy"


def word_of(standing: Standing, entry: Entry | None) -> str:
    """The standing in one word, as ``status`` shows it."""
    if entry is not None and entry.condition is Condition.STATIC:
        return "static"
    if entry is not None and entry.condition is Condition.PREVIOUS:
        return "gone"
    if entry is not None and entry.condition is Condition.PAUSED and standing is Standing.STOPPING:
        return "unhealthy"
    return standing.name.lower()
