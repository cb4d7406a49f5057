"""How things stand: each server as Docker and as HAProxy see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import sync
from .errors import RuntimeApiError
from .haproxy import process
from .haproxy.runtime import Runtime, ServerState
from .model import Backend
from .settings import Settings


@dataclass(frozen=True)
class ServerRow:
    """One server.

    Attributes:
        service: the service it serves.
        server: its name in HAProxy.
        address: what HAProxy dials.
        docker_host: where its container runs.
        container: the container's name.
        docker: ``running``, ``gone`` where HAProxy still has it, ``unknown`` where the host is silent.
        haproxy: HAProxy's word, ``absent`` where it has no such server yet, ``unknown`` without a socket.
        weight: in force.
        sessions: now under way.
        requests: so far.
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


@dataclass(frozen=True)
class Status:
    """Everything that ``dockmaster status`` shows.

    Attributes:
        haproxy: ``running``, ``stopped``, or ``running, no answer on its socket``.
        servers: a row for each server that Docker or HAProxy has.
        refused: containers that cannot serve, and why.
        unknown_hosts: hosts that did not answer, and why.
        problems: sentences; empty when all is well.
    """

    haproxy: str
    servers: Sequence[ServerRow]
    refused: Sequence[dict[str, str]]
    unknown_hosts: dict[str, str]
    problems: Sequence[str]

    @property
    def healthy(self) -> bool:
        """Whether there is nothing for anybody to do."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**asdict(self), "healthy": self.healthy}


def status(settings: Settings, found: sync.Found) -> Status:
    """Hold what the sources said against what HAProxy says."""
    states, haproxy = _states(settings)
    problems = list(found.unknown.values())
    if haproxy != "running":
        problems.append(f"HAProxy: {haproxy}")
    rows = []
    for service in settings.services:
        backends = {
            backend.server_name(with_host=service.named_with_host): backend
            for backend in found.backends.get(service.name, ())
        }
        there = {state.name: state for state in states or () if state.proxy == service.proxy.backend_name}
        of_service = [
            _row(service.name, name, backends.get(name), there.get(name), states is not None, bool(found.unknown))
            for name in sorted({*backends, *there})
        ]
        if states is not None and not any(state.usable for state in there.values()):
            problems.append(f"{service.name}: HAProxy has no usable server")
        problems += [
            f"{service.name}: {row.server} is {row.docker} in Docker and {row.haproxy} in HAProxy"
            for row in of_service
            if (row.docker == "running") != (row.haproxy.split(" ")[0] in ("UP", "no", "unknown"))
            and row.docker != "unknown"
        ]
        rows += of_service
    return Status(haproxy, rows, [refusal.as_dict() for refusal in found.refused], dict(found.unknown), problems)


def table(current: Status) -> str:
    """The same as a table with its headings, and what is wrong below."""
    heads = ("SERVICE", "SERVER", "ADDRESS", "HOST", "CONTAINER", "DOCKER", "HAPROXY", "WEIGHT", "SESSIONS", "REQUESTS")
    rows = [
        heads,
        *(
            (
                row.service,
                row.server,
                row.address,
                row.docker_host,
                row.container,
                row.docker,
                row.haproxy,
                *("-" if number is None else str(number) for number in (row.weight, row.sessions, row.requests)),
            )
            for row in current.servers
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [
        f"refused: {refusal['container']} on {refusal['docker_host']}: {refusal['reason']}"
        for refusal in current.refused
    ]
    lines += [f"problem: {problem}" for problem in current.problems]
    return "\n".join(lines)


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
    service: str, name: str, backend: Backend | None, state: ServerState | None, asked: bool, some_unknown: bool
) -> ServerRow:
    """One server of the union of both views."""
    absent = "absent" if asked else "unknown"
    gone = "unknown" if some_unknown else "gone"
    return ServerRow(
        service=service,
        server=name,
        address=backend.address if backend else state.address if state else "",
        docker_host=backend.docker_host if backend else "",
        container=backend.container_name if backend else "",
        docker="running" if backend else gone,
        haproxy=state.status if state else absent,
        weight=state.weight if state else None,
        sessions=state.sessions if state else None,
        requests=state.requests if state else None,
    )
