"""Why a server gets traffic, or none: each rule of the decision in its order, with the fact that decided."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .catalog import Condition
from .config.settings import Settings
from .errors import DockmasterError
from .haproxy.runtime import MAINT, READY
from .model.endpoint import SHORT_ID, Rejection
from .snapshot import Decided, Snapshot
from .traffic import RULES, Standing, Verdict, Wanted, word_of

SHORTEST_ID = 4
"""Characters of a container's id that are taken for one."""


class NothingFound(DockmasterError):
    """No server, container, service or address is called so."""


@dataclass(frozen=True)
class Step:
    """One rule.

    Attributes:
        rule: its name.
        question: what it asks.
        fact: what is so, and where that comes from.
        decides: whether it decided.
    """

    rule: str
    question: str
    fact: str
    decides: bool


@dataclass(frozen=True)
class Explanation:
    """Why one server gets traffic, or none.

    Attributes:
        service: its service.
        server: its name in HAProxy.
        address: what HAProxy dials.
        docker_host: where its container runs.
        container: the container's name.
        gets_traffic: whether HAProxy sends it new requests now.
        wanted: ``serve``, ``drain`` or ``leave``.
        reason: why that is wanted.
        steps: the rules up to the one that decided.
        haproxy: what HAProxy says.
        to_change: what would have to change; empty if it gets traffic.
    """

    service: str
    server: str
    address: str
    docker_host: str
    container: str
    gets_traffic: bool
    wanted: str
    reason: str
    steps: Sequence[Step]
    haproxy: str
    to_change: str


@dataclass(frozen=True)
class Explained:
    """Everything that a name means.

    Attributes:
        name: what was asked for.
        servers: an explanation for each server.
        rejected: containers of that name that cannot serve, with the reason.
    """

    name: str
    servers: Sequence[Explanation]
    rejected: Sequence[Rejection]

    @property
    def all_serve(self) -> bool:
        """Whether all of it gets traffic."""
        return not self.rejected and all(one.gets_traffic for one in self.servers)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**asdict(self), "all_serve": self.all_serve}


def of(settings: Settings, name: str) -> Explained:
    """Explain a container, a server, a service or an address.

    Args:
        settings: the configuration.
        name: a service, a server's name or ``SECTION/SERVER``, a container's name, ``HOST/CONTAINER`` or the beginning
            of its id, ``HOST:PORT``, or a Docker host.

    Raises:
        NothingFound: nothing is called so.
    """
    return of_snapshot(Snapshot.taken(settings, lenient=True), name)


def of_snapshot(snapshot: Snapshot, name: str) -> Explained:
    """The same from what is so at one moment."""
    servers = [_explanation(one, snapshot) for one in snapshot.decided.values() if _is_called(one, name)]
    rejected = [one for one in snapshot.found.rejected if _is_rejected(one, name, snapshot)]
    if not servers and not rejected and name not in {service.name for service in snapshot.settings.services}:
        services = ", ".join(service.name for service in snapshot.settings.services) or "none"
        raise NothingFound(
            f"{name}: no server, container, Docker host or address is called so, and none of the services "
            f"({services}); a container that does not run, or that no service selects, is not known here"
        )
    return Explained(name, servers, rejected)


def _is_called(one: Decided, name: str) -> bool:
    endpoint = one.entry.endpoint if one.entry else None
    names = {one.key[1], "/".join(one.key)}
    if not _is_out(one):
        names.add(one.service.name)
    if endpoint:
        names |= {endpoint.address, endpoint.docker_host, endpoint.container_name, endpoint.container_id}
        names.add(f"{endpoint.docker_host}/{endpoint.container_name}")
        if len(name) >= SHORTEST_ID and endpoint.container_id.startswith(name):
            return True
    return name in names - {""}


def _is_out(one: Decided) -> bool:
    """Whether it is no server of its service any more, or not now: HAProxy keeps the name of one that is gone, and a
    default server stands by."""
    out = one.facts.state is None or one.facts.state.admin == MAINT
    static = one.entry is not None and one.entry.condition is Condition.STATIC
    return out and (one.entry is None or (static and one.verdict.wanted is Wanted.LEAVE))


def _is_rejected(one: Rejection, name: str, snapshot: Snapshot) -> bool:
    answer = snapshot.found.answers.get(one.docker_host)
    called = {
        shown for identity, shown in (answer.names.items() if answer else ()) if identity[:SHORT_ID] == one.container
    }
    called |= {f"{one.docker_host}/{shown}" for shown in called} | {one.service, one.docker_host, one.container}
    return name in called - {""} or (len(name) >= SHORTEST_ID and one.container.startswith(name[:SHORT_ID]))


def _explanation(one: Decided, snapshot: Snapshot) -> Explanation:
    state = one.facts.state
    serves = bool(state and state.usable)
    return Explanation(
        service=one.service.name,
        server=one.key[1],
        address=one.address,
        docker_host=one.docker_host,
        container=one.container,
        gets_traffic=serves,
        wanted=one.verdict.wanted.value,
        reason=one.verdict.reason,
        steps=list(_steps(one, snapshot)),
        haproxy=_haproxy(one, snapshot),
        to_change="" if serves else _to_change(one, snapshot),
    )


def _steps(one: Decided, snapshot: Snapshot) -> Iterator[Step]:
    """The rules in their order, up to the one that decided."""
    for rule in RULES:
        decides = rule.name == one.verdict.rule
        yield Step(rule.name, rule.question, _fact(rule.name, one, snapshot), decides)
        if decides:
            return


def _fact(rule: str, one: Decided, snapshot: Snapshot) -> str:
    """What a rule went by, and where that comes from."""
    facts, entry = one.facts, one.entry
    if rule == "gone":
        return _of_the_source(one, snapshot)
    if rule == "drained":
        return f"yes: {one.verdict.reason}" if facts.drain else "no (drained.json of this balancer)"
    if rule == "healthy":
        return "yes" if one.verdict.standing is Standing.HEALTHY else f"no: {_against(one)}"
    if rule == "better":
        if facts.service.best is None:
            return "no: HAProxy finds no server of the service usable"
        return f"HAProxy's best usable server is {facts.service.best.name.lower()}"
    if rule == "never served":
        return "yes" if facts.served else "no: HAProxy has no such server"
    if rule == "left" and entry:
        if facts.service.healthy:
            return f"{facts.service.healthy} healthy endpoints take its place"
        return f"nothing takes its place; {facts.drain_timeout:g} s are allowed"
    return one.verdict.reason


def _of_the_source(one: Decided, snapshot: Snapshot) -> str:
    """What the source says, and when it said so."""
    entry, found = one.entry, snapshot.found
    if entry is None:
        return "no: no source lists it"
    if entry.condition is Condition.STATIC:
        return f"yes: default_servers of {snapshot.settings.origin}"
    host = entry.endpoint.docker_host
    if host in found.unreachable:
        return f"as last known, since {host} is unreachable: {found.unreachable[host]}"
    at = time.strftime("%H:%M:%S", time.localtime(found.at))
    if not host:
        return f"no: HAProxy has it, and no source listed it at {at}"
    return f"yes: {host}'s list at {at} shows {entry.endpoint.container_name} ({word_of(one.verdict.standing, entry)})"


def _against(one: Decided) -> str:
    words = {
        Standing.UNHEALTHY: "its health check in Docker fails",
        Standing.LEFT: "it is not of the service any more",
        Standing.STOPPING: "it was sent a signal that stops it" if one.facts.stopping else "it is paused",
    }
    return words.get(one.verdict.standing, one.verdict.standing.name.lower())


def _haproxy(one: Decided, snapshot: Snapshot) -> str:
    state = one.facts.state
    if snapshot.running is None:
        return "HAProxy cannot be asked"
    if state is None:
        return "HAProxy has no such server"
    return f"HAProxy: {state.status}, told {state.admin}, {state.sessions} sessions, for {state.since} s"


def _to_change(one: Decided, snapshot: Snapshot) -> str:
    """What would have to change so that it gets traffic."""
    state, verdict = one.facts.state, one.verdict
    if verdict.wanted is Wanted.SERVE:
        if snapshot.running is None:
            return "start HAProxy, or let its runtime socket answer"
        if state is None or state.admin != READY:
            return "the next sync puts it in force: see `dockmaster sync` and the log if it does not"
        return f"HAProxy's check has to pass (now {state.status}): try its address from the balancer"
    return _for(verdict, one)


def _for(verdict: Verdict, one: Decided) -> str:
    if verdict.standing is Standing.DRAINED and one.facts.drain:
        drain = one.facts.drain
        kind = f"container {drain}" if drain.container else f"host {drain}"
        return f"make it ready: `dockmaster ready {kind}`"
    if verdict.standing is Standing.GONE:
        return "start a container: no source lists this one"
    if one.entry and one.entry.condition is Condition.STATIC:
        return "it serves while no container does, or beside them with keep_default_servers"
    if verdict.standing is Standing.LEFT:
        return "the service has to select it again (image, name, labels, network, published port)"
    if verdict.standing is Standing.STOPPING:
        return "start it again, or unpause it"
    return "its health check in Docker has to pass"
