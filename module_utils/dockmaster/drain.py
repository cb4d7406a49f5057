"""Draining for the operator: no new requests for a Docker host or a container, until it is told ready."""

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
from .config.settings import Service, Settings
from .errors import DockmasterError, RuntimeApiError
from .haproxy.runtime import Runtime, ServerState
from .haproxy.servers import Key, key_of
from .lock import folder_locked
from .model.endpoint import Endpoint
from .state import drains as drained
from .state import last_known as state
from .state.drains import Drain, Drains

SHORTEST_ID = 4
"""Characters of a container's id that are taken for one."""

LOOK = 0.2
"""Seconds between two looks whether sessions are left."""


class NotDrained(DockmasterError):
    """It cannot be drained; nothing was changed.

    Attributes:
        kept: servers that are the last usable ones of their services, by section and name.
    """

    def __init__(self, message: str, kept: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kept = kept


@dataclass(frozen=True)
class What:
    """What the operator names.

    Attributes:
        host: a Docker host's name; empty where it is a container's that any of them may have.
        container: name of a container, or the beginning of its id; empty for all of the host.
    """

    host: str
    container: str = ""

    @classmethod
    def named(cls, kind: str, name: str) -> What:
        """A ``host`` by its name, or a ``container`` as ``NAME`` or ``HOST/NAME``."""
        if kind == "host":
            return cls(name)
        host, _, container = name.rpartition("/")
        return cls(host, container)

    def is_one(self, backend: Endpoint) -> bool:
        """Whether a backend is this, or of this."""
        if self.host and backend.docker_host != self.host:
            return False
        return not self.container or _is_called(self.container, backend.container_name, backend.container_id)

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
    before: Drains
    after: Drains
    servers: Sequence[Row]
    done: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON and Ansible."""
        return {
            "changed": self.changed,
            "message": self.message,
            "done": self.done,
            "servers": [asdict(row) for row in self.servers],
            "drained": [asdict(mark) for mark in self.after],
            "kept": [],
        }


def who() -> str:
    """Who asks: the user that became root, where somebody did."""
    asks = os.environ.get("SUDO_USER")
    if not asks:
        with suppress(KeyError):
            asks = pwd.getpwuid(os.getuid()).pw_name
    return asks or str(os.getuid())


def drain(settings: Settings, template: str, what: What, *, wait: float = 0, check_mode: bool = False) -> Outcome:
    """No new requests for what is named, whatever runs anew; those under way finish.

    The Docker hosts that answer are asked; of the others what was last known counts.

    Args:
        settings: the configuration.
        template: the template's text.
        what: a Docker host or a container.
        wait: seconds until no sessions are to be left.
        check_mode: change nothing, and tell what would be.

    Raises:
        NotDrained: there is no such thing, or a service would have no usable server; nothing was changed.
        DockmasterError: a pass failed; nothing is drained that was not before.
    """
    with _alone(settings, check_mode):
        there = _There.asked(settings)
        before = drained.load(drained.file_of(settings.haproxy))
        mark = _mark(settings, there, what)
        if mark in before:
            after = before
        else:
            after = (*before, mark)
            _try(settings, template, there, mark, after)
            if not check_mode:
                _apply(settings, template, there, mark, before, after)
    words = "was drained already" if after == before else "would be drained" if check_mode else "is drained"
    servers = there.servers(mark.covers)
    left = [] if check_mode else _wait(settings, servers, wait, lambda one: one.sessions == 0)
    rows = _rows(settings, servers)
    sentence = f"{mark} {words}: {_counted(len(rows), 'server')} {'gets' if len(rows) == 1 else 'get'} no new requests"
    if left and wait:
        sessions = sum(row.sessions for row in rows)
        sentence += (
            f"; {_counted(sessions, 'session')} left after {wait:g} s on {', '.join(left)}, and no new ones come"
        )
    return Outcome(after != before, sentence, before, after, rows, not (left and wait))


def ready(settings: Settings, template: str, what: What, *, wait: float = 0, check_mode: bool = False) -> Outcome:
    """What is named gets traffic again, as far as Docker and HAProxy's checks hold it fit.

    Args:
        settings: the configuration.
        template: the template's text.
        what: a Docker host or a container.
        wait: seconds until its servers are to be usable.
        check_mode: change nothing, and tell what would be.

    Raises:
        NotDrained: more than one container is meant.
        DockmasterError: a pass failed; what was drained stays so.
    """
    with _alone(settings, check_mode):
        there = _There.asked(settings)
        before = drained.load(drained.file_of(settings.haproxy))
        meant = [mark for mark in before if _means(what, mark, there)]
        if len(meant) > 1:
            raise NotDrained(f"{what} is more than one: {', '.join(map(str, meant))}; name one of them")
        after = tuple(mark for mark in before if mark not in meant)
        if meant and not check_mode:
            path = drained.file_of(settings.haproxy)
            drained.save(path, after)
            with _undone(settings, before):
                sync.run(settings, template, silent=there.silent)
    if not meant:
        host = next((mark for mark in before if not mark.container and mark.docker_host == what.host), None)
        return Outcome(False, f"{what} is not drained{f', but {host} is' if host else ''}", before, before, ())
    (mark,) = meant
    servers = {key: one for key, one in there.servers(mark.covers).items() if drained.covering(after, one) is None}
    fit = {key: one for key, one in servers.items() if key in there.fit}
    left = [] if check_mode else _wait(settings, fit, wait, lambda one: one.usable and one.checked)
    sentence = f"{mark} {'would be' if check_mode else 'is'} ready: {_counted(len(servers), 'server')}"
    if left and wait:
        sentence += f"; not usable after {wait:g} s: {', '.join(left)}"
    return Outcome(True, sentence, before, after, _rows(settings, servers), not (left and wait))


@dataclass(frozen=True)
class _There:
    """Every container that a service has, whatever is drained.

    Attributes:
        backends: with their services.
        silent: Docker hosts that do not answer, with the reason.
        fit: servers whose containers Docker holds fit.
    """

    backends: Sequence[tuple[Service, Endpoint]]
    silent: Mapping[str, str]
    fit: frozenset[Key]

    @classmethod
    def asked(cls, settings: Settings) -> _There:
        known = state.load(settings.haproxy.state_file)
        found = sync.ask(settings, known, lenient=True)
        fit = state.with_last_known(
            {service.name: found.backends.get(service.name, ()) for service in settings.services}, known, found.unknown
        )
        backends = [
            (service, one)
            for service in settings.services
            for one in (*fit[service.name], *found.doubtful.get(service.name, ()))
        ]
        keys = frozenset(key_of(service, one) for service in settings.services for one in fit[service.name])
        return cls(backends, found.unknown, keys)

    def servers(self, which: Callable[[Endpoint], bool]) -> dict[Key, Endpoint]:
        """Those for which a condition holds."""
        return {key_of(service, one): one for service, one in self.backends if which(one)}


@contextmanager
def _alone(settings: Settings, check_mode: bool) -> Iterator[None]:
    """Nobody else drains meanwhile: two that are fine by themselves may be too much together."""
    folder = settings.haproxy.state_file.parent
    if not check_mode:
        folder.mkdir(parents=True, exist_ok=True)
    with nullcontext() if check_mode else folder_locked(folder, sync.LOCK_TIMEOUT):
        yield


@contextmanager
def _undone(settings: Settings, before: Drains) -> Iterator[None]:
    """What fails leaves the marks as they were."""
    try:
        yield
    except DockmasterError:
        drained.save(drained.file_of(settings.haproxy), before)
        raise


def _mark(settings: Settings, there: _There, what: What) -> Drain:
    """What is named, as a mark; raises NotDrained where it is nothing, or not only one thing."""
    hosts = {*settings.docker_hosts, *there.silent}
    if what.host and what.host not in hosts:
        raise NotDrained(f"there is no Docker host {what.host}; known are {', '.join(sorted(hosts)) or 'none'}")
    marked = partial(Drain, by=who(), at=time.time())
    if not what.container:
        return marked(what.host)
    found = {
        marked(one.docker_host, one.container_name if one.container_name == what.container else one.container_id)
        for _, one in there.backends
        if not one.given_name and what.is_one(one)
    }
    # Who has the name is meant, and not whose id begins like it.
    found = {mark for mark in found if mark.container == what.container} or found
    if not found:
        raise NotDrained(f"no container {what} serves anything")
    if len(found) > 1:
        raise NotDrained(f"{what.container} is more than one: {', '.join(map(str, sorted(found)))}; name one of them")
    return found.pop()


def _means(what: What, mark: Drain, there: _There) -> bool:
    """Whether what is named is drained by this mark, be the container there or not."""
    if not what.container:
        return mark == Drain(what.host)
    if not mark.container or (what.host and mark.docker_host != what.host):
        return False
    if _is_called(what.container, mark.container, mark.container):
        return True
    return any(what.is_one(one) and mark.covers(one) for _, one in there.backends)


def _is_called(called: str, name: str, container_id: str) -> bool:
    return called == name or (len(called) >= SHORTEST_ID and container_id.startswith(called))


def _try(settings: Settings, template: str, there: _There, mark: Drain, after: Drains) -> None:
    """Raise NotDrained where a service would have no usable server."""
    report = sync.run(settings, template, check_mode=True, silent=there.silent, marks=after)
    _refuse_the_last(there, mark, report)


def _apply(settings: Settings, template: str, there: _There, mark: Drain, before: Drains, after: Drains) -> None:
    drained.save(drained.file_of(settings.haproxy), after)
    with _undone(settings, before):
        report = sync.run(settings, template, silent=there.silent)
        try:
            _refuse_the_last(there, mark, report)
        except NotDrained:
            # Others have become unusable at the same moment: what was drained is as it was before.
            drained.save(drained.file_of(settings.haproxy), before)
            sync.run(settings, template, silent=there.silent)
            raise


def _refuse_the_last(there: _There, mark: Drain, report: sync.Report) -> None:
    of = {"/".join(key): one for key, one in there.servers(mark.covers).items()}
    kept = [server for server in report.kept if server in of]
    if kept:
        named = ", ".join(f"{server} ({of[server].container_name or of[server].container_id[:12]})" for server in kept)
        raise NotDrained(f"{mark} is not drained: without {named} the service has no usable server", kept)


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
