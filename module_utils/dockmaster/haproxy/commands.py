"""From what runs to what is wanted by the Runtime API: which commands, for which server, and why not."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from ..errors import RuntimeApiError
from ..model.endpoint import ip_address, joined
from .runtime import DRAIN, MAINT, READY, Running, ServerState
from .servers import Key, Server

ADDED = "added"
READIED = "readied"
DRAINED = "drained"
REMOVED = "removed"
DELETED = "deleted"


@dataclass(frozen=True)
class Change:
    """One change of one server.

    Attributes:
        kind: ``added``, ``readied`` (it was there, and gets traffic again once it is checked), ``drained`` (no new
            requests), ``removed`` (in maintenance), ``deleted``.
        server: section and name.
        commands: for the runtime socket, in order.
        reason: why it is more than what Docker said, or the empty string.
    """

    kind: str
    server: Key
    commands: tuple[str, ...]
    reason: str = ""


def add(server: Server, first_check: int | None = None) -> Change:
    """A server that is not there: no traffic before its first check.

    Args:
        server: as it is to be.
        first_check: milliseconds from one check to the next as long as it is down, instead of what its
            options say.

    Raises:
        RuntimeApiError: its options or its address cannot be given at run time.
    """
    if server.at_run_time is None:
        raise RuntimeApiError(f"{server.path}: its options can only be read from the file: {server.options}")
    options = f" {server.at_run_time}" if server.at_run_time else ""
    if first_check is not None and server.checked:
        options += f" downinter {first_check}ms"
        if _option(server, "rise", 2) > 1:
            options += f" fastinter {10 * first_check}ms"
    begin = [f"add server {server.path} {_dialled(server)}{options}"]
    if "agent-check" in options.split():
        begin += [f"enable agent {server.path}", f"set server {server.path} agent up"]
    if not server.checked:
        return Change(ADDED, server.key, (*begin, f"set server {server.path} state ready"))
    return Change(ADDED, server.key, (*begin, f"enable health {server.path}", *_ready_once_checked(server)))


def ready(server: Server, state: ServerState) -> Change | None:
    """A server that is there, as it is to be; None where it is."""
    moved = state.port != server.port or (ip_address(server.host) is not None and state.host != server.host)
    if state.admin == READY and not moved:
        return None
    if state.admin == DRAIN and not moved:
        return Change(READIED, server.key, (f"set server {server.path} state ready",))
    host, _, port = _dialled(server).rpartition(":")
    commands = (f"set server {server.path} addr {host.strip('[]')} port {port}",) if moved else ()
    if not server.checked:
        return Change(READIED, server.key, (*commands, f"set server {server.path} state ready"))
    # Its checks may be off still: of adding it, HAProxy may have refused a part.
    return Change(READIED, server.key, (*commands, f"enable health {server.path}", *_ready_once_checked(server)))


def drain(key: Key) -> Change:
    """No new requests; those under way finish."""
    return Change(DRAINED, key, (f"set server {'/'.join(key)} state drain",))


def remove(key: Key) -> Change:
    """Out of service."""
    return Change(REMOVED, key, (f"set server {'/'.join(key)} state maint",))


def delete(key: Key) -> Change:
    """Gone, once nothing holds it any more; HAProxy refuses it before."""
    return Change(DELETED, key, (f"del server {'/'.join(key)}",))


def leave(state: ServerState, *, drain_timeout: float) -> Change | None:
    """The next step out for a server that is not wanted any more, or None while its requests finish or when it is out.

    Args:
        state: as it is now.
        drain_timeout: seconds after which it is taken out with requests under way; these still go on.
    """
    if state.admin == READY:
        return drain(state.key)
    if state.admin == DRAIN and state.sessions == 0:
        return remove(state.key)
    if state.admin == DRAIN and state.since > drain_timeout:
        sessions = f"{state.sessions} requests" if state.sessions > 1 else "a request"
        return replace(remove(state.key), reason=f"{sessions} under way after {drain_timeout:g} s of drain_timeout")
    return None


def step(wanted: str, server: Server | None, state: ServerState | None, drain_timeout: float) -> Change | None:
    """The next change of one server from what it is to what is wanted of it; None if there is none.

    Args:
        wanted: ``serve``, ``drain``, ``leave`` or ``remove``.
        server: as it is to be; needed where it is to serve.
        state: as it is; None if HAProxy has no such server.
        drain_timeout: seconds that a server that leaves may finish its requests in.

    Raises:
        RuntimeApiError: its options or its address cannot be given at run time.
    """
    if wanted == "serve":
        if server is None:
            return None
        return add(server) if state is None else ready(server, state)
    if state is None or state.admin == MAINT:
        return None
    if wanted == "drain":
        return drain(state.key) if state.admin == READY else None
    if wanted == "leave":
        return leave(state, drain_timeout=drain_timeout)
    return remove(state.key)


def changes(
    wanted: Mapping[Key, str], servers: Mapping[Key, Server], running: Running, drain_timeout: float
) -> Iterator[Change]:
    """What has to be done so that every server is as is wanted of it; what begins to serve comes first.

    Args:
        wanted: what is wanted of each server of ours; others are left alone.
        servers: those that are to serve.
        running: what runs.
        drain_timeout: seconds that a server that leaves may finish its requests in.

    Raises:
        RuntimeApiError: as ``add`` does.
    """
    for key, server in servers.items():
        if change := step("serve", server, running.servers.get(key), drain_timeout):
            yield change
    for key, what in wanted.items():
        if key not in servers and (change := step(what, None, running.servers.get(key), drain_timeout)):
            yield change


def _ready_once_checked(server: Server) -> tuple[str, ...]:
    """Traffic after the next check that passes. The order matters: ready before down would let some through."""
    path = server.path
    return f"set server {path} state drain", f"set server {path} health down", f"set server {path} state ready"


def _dialled(server: Server) -> str:
    """The address for HAProxy, which resolves names in the file only."""
    if ip_address(server.host) is not None:
        return server.address
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RuntimeApiError(f"{server.path}: {server.host} has no address: {error.strerror}") from None
    return joined(str(found[0][4][0]), server.port)


def _option(server: Server, word: str, default: int) -> int:
    """The number that follows a word of its options; the last one counts."""
    words = (server.at_run_time or "").split()
    values = [after for before, after in pairwise(words) if before == word]
    return int(values[-1]) if values and values[-1].isdigit() else default
