"""One pass: ask, join, render, apply."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from . import traffic as serving
from .config.settings import DockerHost, Service, Settings
from .errors import Busy, SourceError
from .haproxy import template as config
from .haproxy.apply import RELOAD, RUNTIME, Applied, Plan, Wanted, Written, apply, plan, predict, running, write
from .haproxy.runtime import Running
from .haproxy.servers import Key, by_key, by_service, key_of
from .lock import folder_locked
from .model.endpoint import Endpoint, Rejection, in_order
from .report import output_files as output
from .sources.docker.client import DockerClient
from .sources.docker.discovery import Known, Listed, endpoints_of
from .state import changed_servers as touched
from .state import drains as drained
from .state import history as remembered
from .state import last_known as state
from .state import stopping as draining

MAX_PARALLEL = 32
"""Docker hosts asked at one time: one that hangs holds up none of the others."""

Find = Callable[[state.KnownEndpoints], "Found"]
"""Gives what there is, told what was last known."""

GIVEN_ANSWERS = 60.0
"""Seconds that answers may be old which a playbook gives, where it does not say how old they are."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another pass: a check and a reload of a large file take less."""


@dataclass(frozen=True)
class Found:
    """What the sources said.

    Attributes:
        backends: by service; only of hosts that answered.
        refused: containers that cannot serve, and why.
        unknown: hosts that did not answer, with the reason.
        doubtful: as backends, of containers that run and that Docker holds unfit.
        running: ids and names of all containers of each host that was asked and answered.
    """

    backends: Mapping[str, Sequence[Endpoint]]
    refused: Sequence[Rejection] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    doubtful: Mapping[str, Sequence[Endpoint]] = field(default_factory=dict)
    running: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a pass found and did.

    Attributes:
        applied: what was done to the file and to HAProxy.
        backends: of each service, those of unknown hosts as last known.
        refused: containers that cannot serve, and why.
        unknown: hosts that did not answer, with the reason.
        notes: of the configuration.
        kept: servers that go on serving though Docker holds their containers unfit, or the operator wants them drained,
            by section and name: there is no other usable one.
    """

    applied: Applied
    backends: Mapping[str, Sequence[Endpoint]]
    refused: Sequence[Rejection]
    unknown: Mapping[str, str]
    notes: Sequence[str]
    kept: Sequence[str] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was changed."""
        return self.applied.action != "none"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON and Ansible."""
        return {
            "action": self.applied.action,
            "changed": self.changed,
            "changes": [{"change": one.kind, "server": "/".join(one.server)} for one in self.applied.changes],
            "reload_reason": self.applied.reason,
            "kept": list(self.kept),
            "backends": {name: [one.as_dict() for one in found] for name, found in self.backends.items()},
            "refused": [refusal.as_dict() for refusal in self.refused],
            "unknown_hosts": dict(self.unknown),
            "notes": list(self.notes),
            "backup_file": str(self.applied.backup) if self.applied.backup else None,
        }


def ask(
    settings: Settings,
    known: state.KnownEndpoints | None = None,
    timeout: int = 5,
    silent: Mapping[str, str] | None = None,
    *,
    lenient: bool = False,
) -> Found:
    """Ask every Docker host of the configuration, all at a time.

    Where it has none, playbooks ask them: the hosts that were last known are silent then, and not without containers.

    Args:
        settings: the configuration.
        known: backends as they were last known: a container that was attributed to a service stays so.
        timeout: seconds for the answer of one host.
        silent: hosts that did not answer a moment ago, with the reason: they are not asked again.
        lenient: whether the silence of all of them is a finding like another.

    Raises:
        SourceError: none of them answered.
    """
    asked: dict[DockerHost, list[Service]] = {}
    for service in settings.services:
        for server in service.discovery.servers:
            asked.setdefault(server, []).append(service)
    backends: dict[str, list[Endpoint]] = {service.name: [] for service in settings.services}
    doubtful: dict[str, list[Endpoint]] = {service.name: [] for service in settings.services}
    refused: list[Rejection] = []
    unknown = dict(silent or {}) if asked else _asked_elsewhere(settings, known or {})
    running: dict[str, frozenset[str]] = {}
    ids: dict[str, dict[str, set[str]]] = {}
    for name, last in (known or {}).items():
        for one in last:
            ids.setdefault(one.docker_host, {}).setdefault(name, set()).add(one.container_id)
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL) as pool:
        answers = {
            server: pool.submit(_of_host, server, services, ids.get(server.name, {}), timeout)
            for server, services in asked.items()
            if server.name not in unknown
        }
    for server, answer in answers.items():
        try:
            listed = answer.result()
        except SourceError as error:
            unknown[server.name] = str(error)
            continue
        refused.extend(listed.refused)
        running[server.name] = frozenset(listed.names) | frozenset(listed.names.values())
        for name in listed.backends:
            backends[name].extend(listed.backends[name])
            doubtful[name].extend(listed.doubtful[name])
    if asked and not running and not lenient:
        raise SourceError(f"{'; '.join(unknown.values())}. Nothing was changed")
    return Found(backends, refused, unknown, doubtful, running)


def _asked_elsewhere(settings: Settings, known: state.KnownEndpoints) -> dict[str, str]:
    """The Docker hosts that were last known, but for services that have servers of their own in the configuration."""
    hosts = {
        one.docker_host
        for service in settings.services
        for one in known.get(service.name, ())
        if one.docker_host and not service.default_servers
    }
    return {host: f"{host} is not asked from here" for host in sorted(hosts)}


def run(
    settings: Settings,
    template: str,
    find: Find | None = None,
    *,
    check_mode: bool = False,
    renew: bool = False,
    age: float = GIVEN_ANSWERS,
    silent: Mapping[str, str] | None = None,
    marks: drained.Drains | None = None,
) -> Report:
    """Make haproxy.cfg and HAProxy as what is found says.

    Args:
        settings: the configuration.
        template: the template's text.
        find: gives what there is, told what was last known; without it the configuration's own Docker
            hosts are asked, under the lock, so that no older answer is applied after a newer one.
        check_mode: change nothing, and tell what would be.
        renew: reload HAProxy whatever runs, so that every server is as the file says.
        age: seconds that the answers of ``find`` may be old.
        silent: hosts that did not answer a moment ago, with the reason; the rest may be silent as well then.
        marks: what is drained, where the file does not say so yet.

    Raises:
        SourceError: nobody answered; nothing was changed.
        TemplateError, ConfigRefused, ReloadFailed: as ``apply`` has them.
        Busy: another pass does not end.
    """
    lenient = silent is not None
    first = find or partial(ask, settings, silent=silent, lenient=lenient)
    begun = partial(_Pass.begun, settings, template, renew=renew, marks=marks)
    if check_mode:
        return begun(first).predicted()
    if not settings.haproxy.do_writes:
        return begun(first).done()
    folder = settings.haproxy.run_directory
    with folder_locked(settings.haproxy.config_file_path.parent, LOCK_TIMEOUT):
        asked = time.monotonic()
        planned = begun(first)
        if find is None and planned.plan.action == RUNTIME:
            # What the watcher has done since Docker was asked is newer than the answer, and it need not wait for this.
            planned = planned.sparing(touched.since(folder, asked), planned.running)
            if planned.plan.action == RUNTIME:
                # Before anybody has to wait: of a large file HAProxy takes seconds to say whether it accepts it.
                planned = planned.with_file()
        if planned.plan.action not in (RUNTIME, RELOAD):
            return planned.done()
        with servers_locked(settings, LOCK_TIMEOUT):
            if find is not None:
                given = begun(find, spared=touched.since(folder, time.monotonic() - age))
                if not (given.plan.action == RELOAD and given.wanted.spared and settings.docker_hosts):
                    return given.done()
                # A reload puts the file in force, and something has changed since those answers.
                return begun(partial(ask, settings, lenient=True)).done()
            spared = planned.sparing(touched.since(folder, asked), running(settings.haproxy))
            if spared.plan.action != RELOAD:
                return spared.done()
            # A reload puts the file in force: that has to be what Docker says now.
            return begun(partial(ask, settings, silent=planned.found.unknown, lenient=lenient)).done()


@contextmanager
def servers_locked(settings: Settings, timeout: float) -> Iterator[None]:
    """Nobody else changes HAProxy's servers for as long as the block lasts; raises Busy."""
    settings.haproxy.run_directory.mkdir(parents=True, exist_ok=True)
    with folder_locked(settings.haproxy.run_directory, timeout):
        yield


@dataclass(frozen=True)
class _Pass:
    """A pass, asked and planned, with nothing changed yet."""

    settings: Settings
    found: Found
    backends: Mapping[str, Sequence[Endpoint]]
    resting: Mapping[str, Sequence[Endpoint]]
    kept: Sequence[str]
    wanted: Wanted
    running: Running | None
    plan: Plan
    renew: bool
    written: Written | None = None

    @classmethod
    def begun(
        cls,
        settings: Settings,
        template: str,
        find: Find,
        *,
        renew: bool,
        spared: frozenset[Key] = frozenset(),
        marks: drained.Drains | None = None,
    ) -> _Pass:
        known = state.load(settings.haproxy.state_file)
        found = find(known)
        now = running(settings.haproxy)
        told = draining.load(settings.haproxy.run_directory, settings.watch.stop_grace)
        if marks is None:
            marks = drained.load(drained.file_of(settings.haproxy))
        there = state.with_last_known(
            {service.name: found.backends.get(service.name, ()) for service in settings.services}, known, found.unknown
        )
        backends: dict[str, list[Endpoint]] = {}
        resting: dict[str, list[Endpoint]] = {}
        kept: list[str] = []
        in_doubt: set[Key] = set()
        for service in settings.services:
            before = known.get(service.name, ())
            ready, doubtful = serving.in_doubt(service, there, found.doubtful, told, marks)
            # What is in doubt is no reason to go without default servers, or those from before.
            serve = service.completed(ready, [one for one in before if one not in doubtful])
            stay = serving.kept(service, serve, doubtful, before, now, marks)
            backends[service.name] = in_order(serve, stay)
            resting[service.name] = [one for one in doubtful if drained.covering(marks, one)]
            kept += ["/".join(key_of(service, one)) for one in stay]
            in_doubt |= {key_of(service, one) for one in doubtful}
        servers = by_service(settings, backends)
        values = config.context(settings, servers, template)
        wanted = Wanted(
            config.render(template, values),
            values["structure"],
            by_key(servers),
            frozenset(service.proxy.backend_name for service in settings.services),
            frozenset(in_doubt),
            spared,
        )
        planned = plan(settings.haproxy, wanted, now, renew=renew)
        return cls(settings, found, backends, resting, kept, wanted, now, planned, renew)

    def with_file(self) -> _Pass:
        """The same with its file in place."""
        return replace(self, written=write(self.settings.haproxy, self.wanted, self.plan))

    def sparing(self, spared: frozenset[Key], now: Running | None) -> _Pass:
        """The same with what runs now, less the servers that somebody has changed meanwhile."""
        wanted = replace(self.wanted, spared=spared)
        planned = plan(self.settings.haproxy, wanted, now, renew=self.renew)
        return replace(self, wanted=wanted, running=now, plan=planned)

    def predicted(self) -> Report:
        """Change nothing."""
        return self._report(predict(self.settings.haproxy, self.wanted, self.plan))

    def done(self) -> Report:
        """Carry it out."""
        applied = apply(self.settings.haproxy, self.wanted, self.plan, self.running, self.written)
        # What is drained may be for long, and is to be known when it is ready again.
        known = {name: in_order(some, self.resting[name]) for name, some in self.backends.items()}
        state.save(self.settings.haproxy.state_file, known, self._silent_since())
        self._remember(applied)
        self._forget_what_is_gone()
        output.write(self.settings.haproxy.output_directory, self.backends)
        return self._report(applied)

    def _remember(self, applied: Applied) -> None:
        """Leave for ``dockmaster status`` what this pass has done and heard."""
        folder = self.settings.haproxy.run_directory
        folder.mkdir(parents=True, exist_ok=True)
        mine = remembered.load(folder, ("sync",))
        for change in applied.changes:
            mine.changed("/".join(change.server), change.kind, "pass")
        for name in self.settings.docker_hosts:
            if name not in self.found.unknown:
                mine.answered(name)
        remembered.save(folder, "sync", mine)

    def _silent_since(self) -> dict[str, float]:
        """When the hosts that are silent now have last answered."""
        haproxy = self.settings.haproxy
        last = state.answered(haproxy.state_file) | remembered.load(haproxy.run_directory).answers
        return {name: last[name] for name in self.settings.docker_hosts if name in self.found.unknown and name in last}

    def _forget_what_is_gone(self) -> None:
        """What is drained and not there any more is forgotten: a Docker host that left the configuration, a container
        that its host does not list."""
        path, there, running = drained.file_of(self.settings.haproxy), self.settings.docker_hosts, self.found.running

        def gone(mark: drained.Drain) -> bool:
            if there and mark.docker_host not in there:
                return True
            return bool(mark.container) and mark.container not in running.get(mark.docker_host, {mark.container})

        # Where backends were given, nobody may know which Docker hosts there are.
        if not running or not any(map(gone, drained.load(path))):
            return
        # Somebody who is changing the file makes a pass as well.
        with suppress(Busy), folder_locked(path.parent, 0):
            drained.save(path, [mark for mark in drained.load(path) if not gone(mark)])

    def _report(self, applied: Applied) -> Report:
        found = self.found
        return Report(applied, self.backends, found.refused, found.unknown, self.settings.notes, self.kept)


def _of_host(server: DockerHost, services: Sequence[Service], ids: Known, timeout: int) -> Listed:
    host = DockerClient(server.name, server.url, timeout, tls=server.tls)
    try:
        return endpoints_of(services, server.name, server.host, host.containers(), known=ids, resolve=host.image_of)
    finally:
        host.close()
