"""How things stand: each server as its source and as HAProxy see it, and what is wanted of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .config.settings import Settings
from .errors import RuntimeApiError
from .haproxy import process
from .haproxy.runtime import MAINT, READY, Runtime, ServerState
from .model.endpoint import Rejection
from .snapshot import Decided, Snapshot
from .sources.docker import tls
from .state import history
from .state.drains import Drain
from .state.history import History
from .traffic import Standing, Wanted, word_of


@dataclass(frozen=True)
class ServerRow:
    """One server.

    Attributes:
        service: the service it serves.
        server: its name in HAProxy.
        address: what HAProxy dials.
        docker_host: where its container runs.
        container: the container's name.
        state: ``healthy``, ``unhealthy`` (or paused), ``stopping``, ``drained`` by the operator, ``static`` (a default
            server), ``left`` (it runs, and is not of the service any more), ``gone``, or ``unreachable`` if its Docker
            host does not answer.
        wanted: ``serve``, ``drain`` or ``leave``.
        reason: why that is wanted.
        haproxy: HAProxy's word; ``absent`` if it has no such server, ``unknown`` if it cannot be asked.
        weight: in force.
        sessions: now under way.
        requests: so far.
        age: seconds that HAProxy has seen it in this state.
        last_change: what was last done to it at run time, or the empty string.
        cause: why.
        changed: when, in seconds since 1970.
        drained_by: the user who drained it.
    """

    service: str
    server: str
    address: str
    docker_host: str
    container: str
    state: str
    wanted: str
    reason: str
    haproxy: str
    weight: int | None
    sessions: int | None
    requests: int | None
    age: int | None
    last_change: str
    cause: str
    changed: float | None
    drained_by: str


@dataclass(frozen=True)
class SourceRow:
    """One Docker host.

    Attributes:
        docker_host: its name.
        answers: whether it answered just now.
        age: seconds since it last answered; None if nobody remembers.
        error: why it did not.
        certificate_days: days until our own certificate ends, if it is asked over TLS and that can be told.
    """

    docker_host: str
    answers: bool
    age: float | None
    error: str
    certificate_days: float | None


@dataclass(frozen=True)
class Status:
    """Everything that ``dockmaster status`` shows.

    Attributes:
        haproxy: ``running``, ``stopped``, or ``running, no answer on its socket``.
        servers: a row for each server that a source or HAProxy has.
        sources: a row for each Docker host.
        drained: what the operator has drained.
        rejected: containers that cannot serve, with the reason.
        problems: sentences; empty if all is well.
    """

    haproxy: str
    servers: Sequence[ServerRow]
    sources: Sequence[SourceRow]
    drained: Sequence[Drain]
    rejected: Sequence[Rejection]
    problems: Sequence[str]

    @property
    def healthy(self) -> bool:
        """Whether nobody has anything to do."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**asdict(self), "healthy": self.healthy}


def of(settings: Settings) -> Status:
    """Ask the sources and HAProxy, and hold one against the other."""
    return of_snapshot(Snapshot.taken(settings, lenient=True))


def of_snapshot(snapshot: Snapshot) -> Status:
    """The same from what is so at one moment."""
    settings = snapshot.settings
    haproxy = _haproxy(snapshot)
    before = history.load(settings.haproxy.run_directory)
    unreachable = {name: why for name, why in snapshot.found.unreachable.items() if name in settings.docker_hosts}
    problems = list(dict.fromkeys(unreachable.values()))
    if haproxy != "running":
        problems.append(f"HAProxy: {haproxy}")
    rows: list[ServerRow] = []
    for service in settings.services:
        # What is out and gone is only a name that HAProxy keeps.
        decided = [one for one in snapshot.of_service(service) if not _is_only_a_name(one)]
        of_service = [_row(one, snapshot, before) for one in decided]
        usable = snapshot.usable(service)
        if snapshot.running is not None and not usable:
            problems.append(f"{service.name}: HAProxy has no usable server")
        problems += _last_ones(service.name, decided, usable)
        problems += [
            f"{service.name}: {row.server} is {row.state} and {row.haproxy} in HAProxy"
            for row in of_service
            if not _agree(row)
        ]
        rows += of_service
    return Status(haproxy, rows, _sources(snapshot, before), snapshot.drains, snapshot.found.rejected, problems)


def _haproxy(snapshot: Snapshot) -> str:
    haproxy = snapshot.settings.haproxy
    if not process.running(haproxy):
        return "stopped"
    if snapshot.running is not None or haproxy.socket_file_path is None:
        return "running"
    try:
        Runtime(haproxy.socket_file_path).info()
    except RuntimeApiError as error:
        return f"running, no answer on its socket: {error}"
    return "running"


def _is_only_a_name(one: Decided) -> bool:
    return one.verdict.standing is Standing.GONE and (one.facts.state is None or one.facts.state.admin == MAINT)


def _last_ones(service: str, decided: Sequence[Decided], usable: int) -> list[str]:
    """Servers that serve though something speaks against them: somebody has to look before they end."""
    last = [
        one
        for one in decided
        if one.facts.state
        and one.facts.state.usable
        and Standing.HEALTHY < one.verdict.standing <= Standing.DRAINED
        and (one.verdict.waits or usable == 1)
    ]
    return [
        f"{service}: {one.key[1]} is {word_of(one.verdict.standing, one.entry)}, and stays: no better server is usable"
        for one in last
    ]


def _row(one: Decided, snapshot: Snapshot, before: History) -> ServerRow:
    state = one.facts.state
    word = word_of(one.verdict.standing, one.entry)
    silent = snapshot.found.unreachable
    if word == "healthy" and one.docker_host in silent and snapshot.settings.docker_hosts:
        word = "unreachable"
    changed, kind, cause = before.changes.get("/".join(one.key), (None, "", ""))
    return ServerRow(
        service=one.service.name,
        server=one.key[1],
        address=one.address,
        docker_host=one.docker_host,
        container=one.container,
        state=word,
        wanted=one.verdict.wanted.value,
        reason=one.verdict.reason,
        haproxy=_word(state) if state else "absent" if snapshot.running is not None else "unknown",
        weight=state.weight if state else None,
        sessions=state.sessions if state else None,
        requests=state.requests if state else None,
        age=state.since if state else None,
        last_change=kind,
        cause=cause,
        changed=changed,
        drained_by=one.facts.drain.by if one.facts.drain else "",
    )


def _word(state: ServerState) -> str:
    """HAProxy's status; a drained server that is down as well says only that by itself."""
    return state.status if state.admin == READY or state.status != "DOWN" else f"DOWN ({state.admin})"


def _agree(row: ServerRow) -> bool:
    """Whether HAProxy does with a server what is wanted of it."""
    serves = row.haproxy.split(" ")[0] in ("UP", "no")
    if row.haproxy == "unknown" or row.state == "unreachable":
        return True
    if row.wanted == Wanted.SERVE:
        return serves or row.state not in ("healthy", "static")
    # What leaves or is drained may finish its requests.
    return not serves or row.state in ("unhealthy", "stopping", "drained")


def _sources(snapshot: Snapshot, before: History) -> list[SourceRow]:
    now = time.time()
    last = {**snapshot.known.answered, **before.answers}
    silent = snapshot.found.unreachable
    return [
        SourceRow(
            name,
            name not in silent,
            0.0 if name not in silent else round(max(0.0, now - last[name]), 1) if name in last else None,
            silent.get(name, ""),
            tls.days_left(host.tls) if host.tls else None,
        )
        for name, host in sorted(snapshot.settings.docker_hosts.items())
    ]
