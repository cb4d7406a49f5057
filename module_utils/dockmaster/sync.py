"""One pass: ask, join, render, apply."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from . import draining, output, remembered, serving, state
from .discovery import Listed, backends_of
from .errors import SourceError
from .haproxy import config
from .haproxy.apply import RELOAD, RUNTIME, Applied, Plan, Wanted, apply, plan, predict, running
from .haproxy.runtime import Running
from .haproxy.servers import Key, all_servers, key_of
from .lock import folder_locked
from .model import Backend, Refusal
from .settings import DockerServer, Service, Settings
from .sources.docker import DockerHost

MAX_PARALLEL = 32
"""Docker hosts asked at one time: one that hangs holds up none of the others."""

Find = Callable[[state.KnownBackends], "Found"]
"""Gives what there is, told what was last known."""

GIVEN_ANSWERS = 60.0
"""Seconds that answers may be old which a playbook gives."""

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
    """

    backends: Mapping[str, Sequence[Backend]]
    refused: Sequence[Refusal] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    doubtful: Mapping[str, Sequence[Backend]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a pass found and did.

    Attributes:
        applied: what was done to the file and to HAProxy.
        backends: of each service, those of unknown hosts as last known.
        refused: containers that cannot serve, and why.
        unknown: hosts that did not answer, with the reason.
        notes: of the configuration.
        kept: servers that go on serving though Docker holds their containers unfit, by section and name:
            there is no other usable one.
    """

    applied: Applied
    backends: Mapping[str, Sequence[Backend]]
    refused: Sequence[Refusal]
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
    known: state.KnownBackends | None = None,
    timeout: int = 5,
    silent: Mapping[str, str] | None = None,
) -> Found:
    """Ask every Docker host of the configuration, all at a time.

    Args:
        settings: the configuration.
        known: backends as they were last known: a container that was attributed to a service stays so.
        timeout: seconds for the answer of one host.
        silent: hosts that did not answer a moment ago, with the reason: they are not asked again.

    Raises:
        SourceError: none of them answered.
    """
    asked: dict[DockerServer, list[Service]] = {}
    for service in settings.services:
        for server in service.discovery.servers:
            asked.setdefault(server, []).append(service)
    backends: dict[str, list[Backend]] = {service.name: [] for service in settings.services}
    doubtful: dict[str, list[Backend]] = {service.name: [] for service in settings.services}
    refused: list[Refusal] = []
    unknown: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL) as pool:
        answers = {
            server: pool.submit(_of_host, server, services, known or {}, timeout)
            for server, services in asked.items()
            if server.name not in (silent or {})
        }
    for server in asked:
        if silent and server.name in silent:
            unknown[server.name] = silent[server.name]
            continue
        try:
            listed = answers[server].result()
        except SourceError as error:
            unknown[server.name] = str(error)
            continue
        refused.extend(listed.refused)
        for name in listed.backends:
            backends[name].extend(listed.backends[name])
            doubtful[name].extend(listed.doubtful[name])
    if asked and len(unknown) == len(asked):
        raise SourceError(f"{'; '.join(unknown.values())}. Nothing was changed")
    return Found(backends, refused, unknown, doubtful)


def one_pass(
    settings: Settings, template: str, find: Find | None = None, *, check_mode: bool = False, renew: bool = False
) -> Report:
    """Make haproxy.cfg and HAProxy as what is found says.

    Args:
        settings: the configuration.
        template: the template's text.
        find: gives what there is, told what was last known; without it the configuration's own Docker
            hosts are asked, under the lock, so that no older answer is applied after a newer one.
        check_mode: change nothing, and tell what would be.
        renew: reload HAProxy whatever runs, so that every server is as the file says.

    Raises:
        SourceError: nobody answered; nothing was changed.
        TemplateError, ConfigRefused, ReloadFailed: as ``apply`` has them.
        Busy: another pass does not end.
    """
    first = find or partial(ask, settings)
    if check_mode:
        return _Pass.begun(settings, template, first, renew).predicted()
    if not settings.haproxy.do_writes:
        return _Pass.begun(settings, template, first, renew).done()
    with folder_locked(settings.haproxy.config_file_path.parent, LOCK_TIMEOUT):
        begun = _Pass.begun(settings, template, first, renew)
        if begun.plan.action not in (RUNTIME, RELOAD):
            return begun.done()
        # Servers change, and the watcher may have changed some since Docker was asked: once more, while it waits.
        with servers_locked(settings, LOCK_TIMEOUT):
            if find is None:
                again = partial(ask, settings, silent=begun.found.unknown)
                return _Pass.begun(settings, template, again, renew).done()
            # Answers that were given are as old as they are: what the watcher has done since is newer.
            return _Pass.begun(settings, template, find, renew, _just_watched(settings)).done()


def _just_watched(settings: Settings) -> frozenset[Key]:
    """Servers that the watcher has changed a moment ago."""
    since = time.time() - GIVEN_ANSWERS
    changes = remembered.load(settings.haproxy.run_directory, ("watch",)).changes
    keys = (server.partition("/") for server, (at, _, _) in changes.items() if at > since)
    return frozenset((section, name) for section, _, name in keys)


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
    backends: Mapping[str, Sequence[Backend]]
    kept: Sequence[str]
    wanted: Wanted
    running: Running | None
    plan: Plan

    @classmethod
    def begun(
        cls, settings: Settings, template: str, find: Find, renew: bool, spared: frozenset[Key] = frozenset()
    ) -> _Pass:
        known = state.load(settings.haproxy.state_file)
        found = find(known)
        now = running(settings.haproxy)
        told = draining.load(settings.haproxy.run_directory, settings.watch.stop_grace)
        there = state.with_last_known(
            {service.name: found.backends.get(service.name, ()) for service in settings.services}, known, found.unknown
        )
        backends: dict[str, list[Backend]] = {}
        kept: list[str] = []
        in_doubt: set[Key] = set()
        for service in settings.services:
            before = known.get(service.name, ())
            ready, doubtful = serving.in_doubt(service, there, found.doubtful, told)
            # What is in doubt is no reason to go without default servers, or those from before.
            serve = service.completed(ready, [one for one in before if one not in doubtful])
            stay = serving.kept(service, serve, doubtful, before, now)
            backends[service.name] = sorted({*serve, *stay})
            kept += ["/".join(key_of(service, one)) for one in stay]
            in_doubt |= {key_of(service, one) for one in doubtful}
        values = config.context(settings, backends, template)
        wanted = Wanted(
            config.render(template, values),
            values["structure"],
            all_servers(settings, backends),
            frozenset(service.proxy.backend_name for service in settings.services),
            frozenset(in_doubt),
            spared,
        )
        return cls(settings, found, backends, kept, wanted, now, plan(settings.haproxy, wanted, now, renew=renew))

    def predicted(self) -> Report:
        """Change nothing."""
        return self._report(predict(self.settings.haproxy, self.wanted, self.plan))

    def done(self) -> Report:
        """Carry it out."""
        applied = apply(self.settings.haproxy, self.wanted, self.plan, self.running)
        state.save(self.settings.haproxy.state_file, self.backends)
        self._remember(applied)
        output.write(self.settings.haproxy.output_directory, self.backends)
        return self._report(applied)

    def _remember(self, applied: Applied) -> None:
        """Leave for ``dockmaster status`` what this pass has done and heard."""
        folder = self.settings.haproxy.run_directory
        folder.mkdir(parents=True, exist_ok=True)
        mine = remembered.load(folder, ("sync",))
        for change in applied.changes:
            mine.changed("/".join(change.server), change.kind, "pass")
        for name in self.settings.docker_servers:
            if name not in self.found.unknown:
                mine.answered(name)
        remembered.save(folder, "sync", mine)

    def _report(self, applied: Applied) -> Report:
        found = self.found
        return Report(applied, self.backends, found.refused, found.unknown, self.settings.notes, self.kept)


def _of_host(server: DockerServer, services: Sequence[Service], known: state.KnownBackends, timeout: int) -> Listed:
    ids = {
        name: {one.container_id for one in backends if one.docker_host == server.name}
        for name, backends in known.items()
    }
    host = DockerHost(server.name, server.url, timeout)
    try:
        return backends_of(services, server.name, server.host, host.containers(), known=ids, resolve=host.image_of)
    finally:
        host.close()
