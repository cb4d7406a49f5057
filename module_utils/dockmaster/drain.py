"""Draining for the operator: no new requests for a Docker host or a container, until it is made ready."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from . import sync
from .catalog import Condition
from .config.settings import Settings
from .errors import DockmasterError, RuntimeApiError
from .haproxy.runtime import Runtime, ServerState
from .haproxy.servers import Key
from .lock import folder_locked
from .model.endpoint import SHORT_ID, Endpoint
from .snapshot import Decided, Snapshot
from .state import drains as drains_file
from .state.drains import Drain, Drains
from .traffic import Wanted

SHORTEST_ID = 4
"""Characters of a container's id that are taken for one."""

LOOK = 0.2
"""Seconds between two looks whether sessions are left."""


class NotDrained(DockmasterError):
    """It cannot be drained; nothing was changed.

    Attributes:
        last_usable: servers that are the last usable ones of their services, by section and name.
    """

    def __init__(self, message: str, last_usable: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.last_usable = last_usable


@dataclass(frozen=True)
class Target:
    """What the operator names.

    Attributes:
        host: a Docker host's name; empty where it is a container's that any of them may have.
        container: name of a container, or the beginning of its id; empty for all of the host.
    """

    host: str
    container: str = ""

    @classmethod
    def named(cls, kind: str, name: str) -> Target:
        """A ``host`` by its name, or a ``container`` as ``NAME`` or ``HOST/NAME``."""
        if kind == "host":
            return cls(name)
        host, _, container = name.rpartition("/")
        return cls(host, container)

    def includes(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint is this, or of this."""
        if self.host and endpoint.docker_host != self.host:
            return False
        return not self.container or _is_called(self.container, endpoint.container_name, endpoint.container_id)

    def __str__(self) -> str:
        return "/".join(part for part in (self.host, self.container) if part)


@dataclass(frozen=True)
class Row:
    """One server of what was named.

    Attributes:
        server: section and name.
        docker_host: where its container runs.
        container: the container's name.
        haproxy: what HAProxy was told and what it says, ``absent`` where it has no such server, ``unknown`` where it
            does not answer.
        sessions: now under way.
    """

    server: str
    docker_host: str
    container: str
    haproxy: str
    sessions: int


@dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be.

    Attributes:
        changed: whether anything was.
        message: a sentence.
        before: what was drained before.
        after: and after.
        servers: those of what was named.
        done: whether what was waited for came in time.
    """

    changed: bool
    message: str
    before: Sequence[Drain]
    after: Sequence[Drain]
    servers: Sequence[Row]
    done: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON and Ansible."""
        return {
            "changed": self.changed,
            "message": self.message,
            "done": self.done,
            "servers": [asdict(row) for row in self.servers],
            "drained": [asdict(one) for one in self.after],
            "last_usable": [],
        }


def who() -> str:
    """Who asks: the user that became root, where somebody did."""
    asks = os.environ.get("SUDO_USER")
    if not asks:
        with suppress(KeyError):
            asks = pwd.getpwuid(os.getuid()).pw_name
    return asks or str(os.getuid())


def drain(settings: Settings, template: str, target: Target, *, wait: float = 0, check_mode: bool = False) -> Outcome:
    """No new requests for the target, whatever starts there later; those under way finish.

    The Docker hosts that answer are asked; of the others what was last known counts.

    Args:
        settings: the configuration.
        template: the template's text.
        target: a Docker host or a container.
        wait: seconds to wait until no sessions are left.
        check_mode: change nothing, and tell what would be.

    Raises:
        NotDrained: there is no such thing, or a service would have no usable server; nothing was changed.
        DockmasterError: a sync failed; nothing is drained that was not before.
    """
    with _alone(settings, check_mode):
        snapshot = Snapshot.taken(settings, lenient=True)
        before = drains_file.load(drains_file.file_of(settings.haproxy))
        one = _named(snapshot, target)
        after = before if one in before else Drains((*before, one))
        if after is not before:
            _refuse_the_last(snapshot.with_drains(after), one, snapshot)
            if not check_mode:
                _apply(settings, template, snapshot, one, before, after)
    words = "was drained already" if after is before else "would be drained" if check_mode else "is drained"
    servers = _servers(snapshot, one.covers)
    left = [] if check_mode else _wait(settings, servers, wait, lambda state: state.sessions == 0)
    rows = _rows(settings, servers)
    sentence = f"{one} {words}: {_counted(len(rows), 'server')} {'gets' if len(rows) == 1 else 'get'} no new requests"
    if left and wait:
        sessions = sum(row.sessions for row in rows)
        sentence += f"; {_counted(sessions, 'session')} left after {wait:g} s on {', '.join(left)}"
    return Outcome(after is not before, sentence, before, after, rows, not (left and wait))


def ready(settings: Settings, template: str, target: Target, *, wait: float = 0, check_mode: bool = False) -> Outcome:
    """The target gets traffic again, as far as it is healthy and HAProxy's checks pass.

    Args:
        settings: the configuration.
        template: the template's text.
        target: a Docker host or a container.
        wait: seconds to wait until its servers are usable.
        check_mode: change nothing, and tell what would be.

    Raises:
        NotDrained: more than one container is meant.
        DockmasterError: a sync failed; what was drained stays so.
    """
    with _alone(settings, check_mode):
        snapshot = Snapshot.taken(settings, lenient=True)
        before = drains_file.load(drains_file.file_of(settings.haproxy))
        meant = [one for one in before if _means(target, one, snapshot)]
        if len(meant) > 1:
            raise NotDrained(f"{target} is more than one: {', '.join(map(str, meant))}; name one of them")
        after = Drains(one for one in before if one not in meant)
        if meant and not check_mode:
            drains_file.save(drains_file.file_of(settings.haproxy), after)
            with _undone(settings, before):
                sync.run(settings, template, unreachable=snapshot.found.unreachable)
    if not meant:
        host = next((one for one in before if not one.container and one.docker_host == target.host), None)
        return Outcome(False, f"{target} is not drained{f', but {host} is' if host else ''}", before, before, ())
    (drain_,) = meant
    servers = _servers(snapshot, lambda one: drain_.covers(one) and after.covering(one) is None)
    serving = {
        key: servers[key]
        for key, one in snapshot.with_drains(after).decided.items()
        if key in servers and one.verdict.wanted is Wanted.SERVE
    }
    left = [] if check_mode else _wait(settings, serving, wait, lambda state: state.usable and state.checked)
    sentence = f"{drain_} {'would be' if check_mode else 'is'} ready: {_counted(len(servers), 'server')}"
    if left and wait:
        sentence += f"; not usable after {wait:g} s: {', '.join(left)}"
    return Outcome(True, sentence, before, after, _rows(settings, servers), not (left and wait))


def _servers(snapshot: Snapshot, which: Callable[[Endpoint], bool]) -> dict[Key, Endpoint]:
    """The servers of containers for which a condition holds."""
    return {key: entry.endpoint for key, entry in snapshot.catalog.entries.items() if which(entry.endpoint)}


@contextmanager
def _alone(settings: Settings, check_mode: bool) -> Iterator[None]:
    """Nobody else drains meanwhile: two drains that are fine by themselves may be too much together."""
    folder = settings.haproxy.state_file.parent
    if not check_mode:
        folder.mkdir(parents=True, exist_ok=True)
    with nullcontext() if check_mode else folder_locked(folder, sync.LOCK_TIMEOUT):
        yield


@contextmanager
def _undone(settings: Settings, before: Drains) -> Iterator[None]:
    """What fails leaves the drains as they were."""
    try:
        yield
    except DockmasterError:
        drains_file.save(drains_file.file_of(settings.haproxy), before)
        raise


def _named(snapshot: Snapshot, target: Target) -> Drain:
    """What the operator names, as a drain; raises NotDrained if that is nothing, or more than one thing."""
    hosts = {*snapshot.settings.docker_hosts, *snapshot.found.unreachable}
    if target.host and target.host not in hosts:
        raise NotDrained(f"there is no Docker host {target.host}; known are {', '.join(sorted(hosts)) or 'none'}")
    drain_of = partial(Drain, by=who(), at=time.time())
    if not target.container:
        return drain_of(target.host)
    found = {
        drain_of(one.docker_host, one.container_name if one.container_name == target.container else one.container_id)
        for one in _servers(snapshot, lambda one: not one.given_name and target.includes(one)).values()
    }
    # The container of that name is meant, not one whose id begins like it.
    found = {one for one in found if one.container == target.container} or found
    if not found:
        raise NotDrained(f"no container {target} serves anything")
    if len(found) > 1:
        raise NotDrained(f"{target.container} is more than one: {', '.join(map(str, sorted(found)))}; name one of them")
    return found.pop()


def _means(target: Target, one: Drain, snapshot: Snapshot) -> bool:
    """Whether the target is drained by this, whether its container is there or not."""
    if not target.container:
        return one == Drain(target.host)
    if not one.container or (target.host and one.docker_host != target.host):
        return False
    if _is_called(target.container, one.container, one.container):
        return True
    return bool(_servers(snapshot, lambda endpoint: target.includes(endpoint) and one.covers(endpoint)))


def _is_called(called: str, name: str, container_id: str) -> bool:
    return called == name or (len(called) >= SHORTEST_ID and container_id.startswith(called))


def _apply(settings: Settings, template: str, snapshot: Snapshot, one: Drain, before: Drains, after: Drains) -> None:
    path, unreachable = drains_file.file_of(settings.haproxy), snapshot.found.unreachable
    drains_file.save(path, after)
    with _undone(settings, before):
        sync.run(settings, template, unreachable=unreachable)
        try:
            _refuse_the_last(Snapshot.taken(settings, lenient=True, unreachable=unreachable), one, snapshot)
        except NotDrained:
            # Others have become unusable at the same moment: everything is as it was before.
            drains_file.save(path, before)
            sync.run(settings, template, unreachable=unreachable)
            raise


def _refuse_the_last(snapshot: Snapshot, one: Drain, before: Snapshot) -> None:
    """Raise NotDrained if a service has no usable server without those of a drain.

    Args:
        snapshot: what is so with the drain.
        one: the drain.
        before: what was so without it.
    """
    last: list[Decided] = []
    for service in snapshot.settings.services:
        decided = snapshot.of_service(service)
        drained = [
            each
            for each in decided
            if each.facts.drain == one and each.entry and each.entry.condition is Condition.HEALTHY
        ]
        if not snapshot.operators_usable(service) and not any(_serves(each, snapshot) for each in decided):
            # What serves now may be an older server that stays only for those that are to be drained.
            served = any(_serves(each, before) for each in before.of_service(service))
            last += [each for each in drained if _could_serve(each, snapshot)] or (drained if served else [])
    if last:
        names = [f"{'/'.join(each.key)} ({_container(each)})" for each in last]
        raise NotDrained(
            f"{one} is not drained: without {', '.join(names)} the service has no usable server",
            ["/".join(each.key) for each in last],
        )


def _serves(one: Decided, snapshot: Snapshot) -> bool:
    if one.verdict.wanted is not Wanted.SERVE:
        return False
    return snapshot.running is None or bool(one.facts.state and one.facts.state.usable)


def _could_serve(one: Decided, snapshot: Snapshot) -> bool:
    """Whether a server of a drain gets traffic, or would without that."""
    return snapshot.running is None or bool(one.facts.state and one.facts.state.passes)


def _container(one: Decided) -> str:
    endpoint = one.entry.endpoint if one.entry else None
    return (endpoint.container_name or endpoint.container_id[:SHORT_ID]) if endpoint else ""


def _wait(
    settings: Settings, servers: Collection[Key], seconds: float, settled: Callable[[ServerState], bool]
) -> list[str]:
    """Wait until something holds for each of these servers; returns those that it did not hold for by then."""
    deadline = time.monotonic() + seconds
    while True:
        states = _states(settings)
        left = [key for key in sorted(servers) if key in states and not settled(states[key])]
        if not left or time.monotonic() >= deadline:
            return ["/".join(key) for key in left]
        time.sleep(min(LOOK, max(0.0, deadline - time.monotonic())))


def _rows(settings: Settings, servers: Mapping[Key, Endpoint]) -> list[Row]:
    states = _states(settings)
    return [
        Row(
            "/".join(key),
            one.docker_host,
            one.container_name,
            f"{states[key].admin}, {states[key].status}" if key in states else "absent" if states else "unknown",
            states[key].sessions if key in states else 0,
        )
        for key, one in sorted(servers.items())
    ]


def _states(settings: Settings) -> dict[Key, ServerState]:
    """What HAProxy says; nothing where it does not answer, for then nothing is under way."""
    if settings.haproxy.socket_file_path is None:
        return {}
    try:
        return {one.key: one for one in Runtime(settings.haproxy.socket_file_path).servers()}
    except RuntimeApiError:
        return {}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
