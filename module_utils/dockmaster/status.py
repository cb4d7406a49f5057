"""How things stand: each server as Docker and as HAProxy see it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import sync
from . import traffic as serving
from .config.settings import Service, Settings
from .errors import DockmasterError, RuntimeApiError
from .haproxy import process
from .haproxy.runtime import MAINT, READY, Runtime, ServerState
from .haproxy.servers import key_of
from .model.endpoint import Endpoint
from .sources.docker import tls
from .state import drains as drained
from .state import history as remembered
from .state import last_known as state
from .state import stopping as draining
from .state.drains import Drain


@dataclass(frozen=True)
class ServerRow:
    """One server.

    Attributes:
        service: the service it serves.
        server: its name in HAProxy.
        address: what HAProxy dials.
        docker_host: where its container runs.
        container: the container's name.
        docker: ``running``; ``stopping`` after it was told to; ``unfit`` where Docker holds it paused or unhealthy;
            ``drained`` by the operator; ``configured`` for a default server; ``gone`` where HAProxy still has it;
            ``unknown`` where the host is silent.
        haproxy: HAProxy's word, ``absent`` where it has no such server yet, ``unknown`` without a socket.
        weight: in force.
        sessions: now under way.
        requests: so far.
        age: seconds that HAProxy has seen it in this state.
        last_change: what was last done to it at run time, or the empty string.
        cause: why.
        changed: when, in seconds since 1970.
        drained_by: who drained it, where somebody did.
    """

    service: str
    server: str
    address: str
    docker_host: str
    container: str
    docker: str
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
        age: seconds since it last answered; None where nobody remembers.
        error: why it did not.
        certificate_days: days until our own certificate ends, where it is asked over TLS and that can be told.
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
        servers: a row for each server that Docker or HAProxy has.
        sources: a row for each Docker host.
        drained: what the operator has drained.
        refused: containers that cannot serve, and why.
        problems: sentences; empty when all is well.
    """

    haproxy: str
    servers: Sequence[ServerRow]
    sources: Sequence[SourceRow]
    drained: Sequence[Drain]
    refused: Sequence[dict[str, str]]
    problems: Sequence[str]

    @property
    def healthy(self) -> bool:
        """Whether there is nothing for anybody to do."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**asdict(self), "healthy": self.healthy}


def of(settings: Settings) -> Status:
    """Ask Docker and HAProxy, and hold one against the other."""
    known = state.load(settings.haproxy.state_file)
    found = _found(settings, known)
    states, haproxy = _states(settings)
    before = remembered.load(settings.haproxy.run_directory)
    told = draining.load(settings.haproxy.run_directory, settings.watch.stop_grace)
    marks = drained.load(drained.file_of(settings.haproxy))
    problems = list(found.unknown.values())
    if haproxy != "running":
        problems.append(f"HAProxy: {haproxy}")
    rows: list[ServerRow] = []
    there = state.with_last_known(
        {service.name: found.backends.get(service.name, ()) for service in settings.services}, known, found.unknown
    )
    for service in settings.services:
        ready, unfit = serving.in_doubt(service, there, found.doubtful, told, marks)
        docker = {
            key_of(service, one): (one, word)
            for some, word in (
                (service.completed(ready, [one for one in known.get(service.name, ()) if one not in unfit]), "running"),
                (found.doubtful.get(service.name, ()), "unfit"),
                ([one for one in unfit if one in there[service.name]], "stopping"),
                ([one for one in unfit if drained.covering(marks, one)], "drained"),
            )
            for one in some
        }
        haproxys = {one.key: one for one in states or () if one.proxy == service.proxy.backend_name}
        of_service = [
            _row(service, key, docker.get(key), haproxys.get(key), found, states is not None, before, marks)
            for key in sorted({*docker, *haproxys})
            # What is out and gone is only a name that HAProxy keeps.
            if key in docker or haproxys[key].admin != MAINT
        ]
        if states is not None and not any(one.usable for one in haproxys.values()):
            problems.append(f"{service.name}: HAProxy has no usable server")
        last = [key for key, one in haproxys.items() if one.usable]
        if len(last) == 1 and docker.get(last[0], (None, ""))[1] in ("unfit", "stopping", "drained"):
            word = docker[last[0]][1]
            where = "by the operator" if word == "drained" else "in Docker"
            problems.append(f"{service.name}: {last[0][1]} is {word} {where}, and stays: it is the last one usable")
        problems += [
            f"{service.name}: {row.server} is {row.docker} in Docker and {row.haproxy} in HAProxy"
            for row in of_service
            if not _agree(row)
        ]
        rows += of_service
    return Status(
        haproxy,
        rows,
        _sources(settings, found, before),
        marks,
        [refusal.as_dict() for refusal in found.refused],
        problems,
    )


def _found(settings: Settings, known: state.KnownEndpoints) -> sync.Found:
    """What Docker says; here the silence of all hosts is a finding like another. Where playbooks alone ask, it is what
    they heard last."""
    if not settings.docker_hosts:
        heard = {name: [one for one in backends if not one.given_name] for name, backends in known.items()}
        return sync.Found(heard)
    try:
        return sync.ask(settings, known)
    except DockmasterError as error:
        return sync.Found({}, (), dict.fromkeys(sorted(settings.docker_hosts), str(error)))


def _states(settings: Settings) -> tuple[list[ServerState] | None, str]:
    if not process.running(settings.haproxy):
        return None, "stopped"
    if settings.haproxy.socket_file_path is None:
        return None, "running"
    try:
        return Runtime(settings.haproxy.socket_file_path).servers(), "running"
    except RuntimeApiError as error:
        return None, f"running, no answer on its socket: {error}"


def _row(
    service: Service,
    key: tuple[str, str],
    docker: tuple[Endpoint, str] | None,
    haproxy: ServerState | None,
    found: sync.Found,
    asked: bool,
    before: remembered.Remembered,
    marks: drained.Drains,
) -> ServerRow:
    """One server of the union of both views."""
    backend, word = docker or (None, "unknown" if found.unknown else "gone")
    if backend and backend.docker_host in found.unknown and word != "drained":
        word = "unknown"
    mark = drained.covering(marks, backend) if backend else None
    if backend and backend.given_name:
        word = "configured"
    changed, kind, cause = before.changes.get("/".join(key), (None, "", ""))
    return ServerRow(
        service=service.name,
        server=key[1],
        address=backend.address if backend else haproxy.address if haproxy else "",
        docker_host=backend.docker_host if backend else "",
        container=backend.container_name if backend else "",
        docker=word,
        haproxy=_word(haproxy) if haproxy else "absent" if asked else "unknown",
        weight=haproxy.weight if haproxy else None,
        sessions=haproxy.sessions if haproxy else None,
        requests=haproxy.requests if haproxy else None,
        age=haproxy.since if haproxy else None,
        last_change=kind,
        cause=cause,
        changed=changed,
        drained_by=mark.by if mark else "",
    )


def _word(haproxy: ServerState) -> str:
    """HAProxy's status; a drained server that is down as well says only that by itself."""
    return haproxy.status if haproxy.admin == READY or haproxy.status != "DOWN" else f"DOWN ({haproxy.admin})"


def _agree(row: ServerRow) -> bool:
    """Whether HAProxy does with a server what Docker's word asks for."""
    serves = row.haproxy.split(" ")[0] in ("UP", "no")
    if row.docker in ("running", "configured"):
        return serves or row.haproxy == "unknown"
    if row.docker in ("unknown", "unfit", "stopping", "drained"):
        return True
    return not serves


def _sources(settings: Settings, found: sync.Found, before: remembered.Remembered) -> list[SourceRow]:
    now = time.time()
    last = state.answered(settings.haproxy.state_file) | before.answers
    return [
        SourceRow(
            name,
            name not in found.unknown,
            0.0 if name not in found.unknown else round(max(0.0, now - last[name]), 1) if name in last else None,
            found.unknown.get(name, ""),
            tls.days_left(server.tls) if server.tls else None,
        )
        for name, server in sorted(settings.docker_hosts.items())
    ]


_COLUMNS: Mapping[str, str] = {
    "SERVICE": "service",
    "SERVER": "server",
    "ADDRESS": "address",
    "HOST": "docker_host",
    "CONTAINER": "container",
    "DOCKER": "docker",
    "HAPROXY": "haproxy",
    "WEIGHT": "weight",
    "SESSIONS": "sessions",
    "REQUESTS": "requests",
    "AGE": "age",
}


def table(current: Status) -> str:
    """The same as a table with its headings, and what is wrong below."""
    rows = [
        (*_COLUMNS, "LAST CHANGE"),
        *((*(_cell(getattr(row, name)) for name in _COLUMNS.values()), _last(row)) for row in current.servers),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [
        f"docker host {source.docker_host}: "
        + ("answers" if source.answers else f"last answered {_cell(source.age)} s ago")
        + ("" if source.certificate_days is None else f"; our certificate ends in {source.certificate_days:g} days")
        for source in current.sources
    ]
    lines += [drained_line(mark) for mark in current.drained]
    lines += [
        f"refused: {refusal['container']} on {refusal['docker_host']}: {refusal['reason']}"
        for refusal in current.refused
    ]
    lines += [f"problem: {problem}" for problem in current.problems]
    return "\n".join(lines)


def drained_line(mark: Drain) -> str:
    """What is drained, who asked for it, and when."""
    return (
        f"drained: {mark}, by {mark.by or 'somebody'} at {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(mark.at))}"
    )


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


def _last(row: ServerRow) -> str:
    if row.changed is None:
        return "-"
    return f"{time.strftime('%H:%M:%S', time.localtime(row.changed))} {row.last_change} ({row.cause})"
