"""How things stand: each server as Docker and as HAProxy see it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import draining, remembered, serving, state, sync
from .errors import DockmasterError, RuntimeApiError
from .haproxy import process
from .haproxy.runtime import MAINT, READY, Runtime, ServerState
from .haproxy.servers import key_of
from .model import Backend
from .settings import Service, Settings


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
            ``configured`` for a default server; ``gone`` where HAProxy still has it; ``unknown`` where the host is
            silent.
        haproxy: HAProxy's word, ``absent`` where it has no such server yet, ``unknown`` without a socket.
        weight: in force.
        sessions: now under way.
        requests: so far.
        age: seconds that HAProxy has seen it in this state.
        last_change: what was last done to it at run time, or the empty string.
        cause: why.
        changed: when, in seconds since 1970.
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


@dataclass(frozen=True)
class SourceRow:
    """One Docker host.

    Attributes:
        docker_host: its name.
        answers: whether it answered just now.
        age: seconds since it last answered; None where nobody remembers.
        error: why it did not.
    """

    docker_host: str
    answers: bool
    age: float | None
    error: str


@dataclass(frozen=True)
class Status:
    """Everything that ``dockmaster status`` shows.

    Attributes:
        haproxy: ``running``, ``stopped``, or ``running, no answer on its socket``.
        servers: a row for each server that Docker or HAProxy has.
        sources: a row for each Docker host.
        refused: containers that cannot serve, and why.
        problems: sentences; empty when all is well.
    """

    haproxy: str
    servers: Sequence[ServerRow]
    sources: Sequence[SourceRow]
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
    problems = list(found.unknown.values())
    if haproxy != "running":
        problems.append(f"HAProxy: {haproxy}")
    rows: list[ServerRow] = []
    there = state.with_last_known(
        {service.name: found.backends.get(service.name, ()) for service in settings.services}, known, found.unknown
    )
    for service in settings.services:
        ready, unfit = serving.in_doubt(service, there, found.doubtful, told)
        docker = {
            key_of(service, one): (one, word)
            for some, word in (
                (service.completed(ready, known.get(service.name, ())), "running"),
                (found.doubtful.get(service.name, ()), "unfit"),
                ([one for one in unfit if one in there[service.name]], "stopping"),
            )
            for one in some
        }
        haproxys = {one.key: one for one in states or () if one.proxy == service.proxy.backend_name}
        of_service = [
            _row(service, key, docker.get(key), haproxys.get(key), found, states is not None, before)
            for key in sorted({*docker, *haproxys})
            # What is out and gone is only a name that HAProxy keeps.
            if key in docker or haproxys[key].admin != MAINT
        ]
        if states is not None and not any(one.usable for one in haproxys.values()):
            problems.append(f"{service.name}: HAProxy has no usable server")
        last = [key for key, one in haproxys.items() if one.usable]
        if len(last) == 1 and docker.get(last[0], (None, ""))[1] in ("unfit", "stopping"):
            word = docker[last[0]][1]
            problems.append(f"{service.name}: {last[0][1]} is {word} in Docker, and stays: it is the last one usable")
        problems += [
            f"{service.name}: {row.server} is {row.docker} in Docker and {row.haproxy} in HAProxy"
            for row in of_service
            if not _agree(row)
        ]
        rows += of_service
    return Status(
        haproxy, rows, _sources(settings, found, before), [refusal.as_dict() for refusal in found.refused], problems
    )


def _found(settings: Settings, known: state.KnownBackends) -> sync.Found:
    """What Docker says; here the silence of all hosts is a finding like another."""
    try:
        return sync.ask(settings, known)
    except DockmasterError as error:
        servers = {server.name for service in settings.services for server in service.discovery.servers}
        return sync.Found({}, (), dict.fromkeys(sorted(servers), str(error)))


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
    docker: tuple[Backend, str] | None,
    haproxy: ServerState | None,
    found: sync.Found,
    asked: bool,
    before: remembered.Remembered,
) -> ServerRow:
    """One server of the union of both views."""
    backend, word = docker or (None, "unknown" if found.unknown else "gone")
    if backend and backend.docker_host in found.unknown:
        word = "unknown"
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
    )


def _word(haproxy: ServerState) -> str:
    """HAProxy's status; a drained server that is down as well says only that by itself."""
    return haproxy.status if haproxy.admin == READY or haproxy.status != "DOWN" else f"DOWN ({haproxy.admin})"


def _agree(row: ServerRow) -> bool:
    """Whether HAProxy does with a server what Docker's word asks for."""
    serves = row.haproxy.split(" ")[0] in ("UP", "no")
    if row.docker in ("running", "configured"):
        return serves or row.haproxy == "unknown"
    if row.docker in ("unknown", "unfit", "stopping"):
        return True
    return not serves


def _sources(settings: Settings, found: sync.Found, before: remembered.Remembered) -> list[SourceRow]:
    names = sorted({server.name for service in settings.services for server in service.discovery.servers})
    now = time.time()
    return [
        SourceRow(
            name,
            name not in found.unknown,
            0.0
            if name not in found.unknown
            else round(max(0.0, now - before.answers[name]), 1)
            if name in before.answers
            else None,
            found.unknown.get(name, ""),
        )
        for name in names
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
        for source in current.sources
    ]
    lines += [
        f"refused: {refusal['container']} on {refusal['docker_host']}: {refusal['reason']}"
        for refusal in current.refused
    ]
    lines += [f"problem: {problem}" for problem in current.problems]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


def _last(row: ServerRow) -> str:
    if row.changed is None:
        return "-"
    return f"{time.strftime('%H:%M:%S', time.localtime(row.changed))} {row.last_change} ({row.cause})"
