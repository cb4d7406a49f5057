"""One pass: ask, join, render, apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from . import output, state
from .discovery import backends_of
from .errors import SourceError
from .haproxy import config
from .haproxy.apply import Applied, Wanted, apply
from .lock import folder_locked
from .model import Backend, Refusal
from .settings import DockerServer, Service, Settings
from .sources.docker import DockerHost

MAX_PARALLEL = 32
"""Docker hosts asked at one time: one that hangs holds up none of the others."""

Find = Callable[[state.KnownBackends], "Found"]
"""Gives what there is, told what was last known."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another pass: a check and a reload of a large file take less."""


@dataclass(frozen=True)
class Found:
    """What the sources said.

    Attributes:
        backends: by service; only of hosts that answered.
        refused: containers that cannot serve, and why.
        unknown: hosts that did not answer, with the reason.
    """

    backends: Mapping[str, Sequence[Backend]]
    refused: Sequence[Refusal] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a pass found and did.

    Attributes:
        applied: what was done to the file and to HAProxy.
        backends: of each service, those of unknown hosts as last known.
        refused: containers that cannot serve, and why.
        unknown: hosts that did not answer, with the reason.
        notes: of the configuration.
    """

    applied: Applied
    backends: Mapping[str, Sequence[Backend]]
    refused: Sequence[Refusal]
    unknown: Mapping[str, str]
    notes: Sequence[str]

    @property
    def changed(self) -> bool:
        """Whether anything was changed."""
        return self.applied.action != "none"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON and Ansible."""
        return {
            "action": self.applied.action,
            "changed": self.changed,
            "backends": {name: [one.as_dict() for one in found] for name, found in self.backends.items()},
            "refused": [refusal.as_dict() for refusal in self.refused],
            "unknown_hosts": dict(self.unknown),
            "notes": list(self.notes),
            "backup_file": str(self.applied.backup) if self.applied.backup else None,
        }


def ask(settings: Settings, known: state.KnownBackends | None = None, timeout: int = 5) -> Found:
    """Ask every Docker host of the configuration, all at a time.

    Args:
        settings: the configuration.
        known: backends as they were last known: a container that was attributed to a service stays so.
        timeout: seconds for the answer of one host.

    Raises:
        SourceError: none of them answered.
    """
    asked: dict[DockerServer, list[Service]] = {}
    for service in settings.services:
        for server in service.discovery.servers:
            asked.setdefault(server, []).append(service)
    backends: dict[str, list[Backend]] = {service.name: [] for service in settings.services}
    refused: list[Refusal] = []
    unknown: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL) as pool:
        answers = {
            server: pool.submit(_of_host, server, services, known or {}, timeout) for server, services in asked.items()
        }
    for server in asked:
        try:
            found, not_usable = answers[server].result()
        except SourceError as error:
            unknown[server.name] = str(error)
            continue
        refused.extend(not_usable)
        for name, more in found.items():
            backends[name].extend(more)
    if asked and len(unknown) == len(asked):
        raise SourceError(f"{'; '.join(unknown.values())}. Nothing was changed")
    return Found(backends, refused, unknown)


def one_pass(settings: Settings, template: str, find: Find | None = None, *, check_mode: bool = False) -> Report:
    """Make haproxy.cfg and HAProxy as what is found says.

    Args:
        settings: the configuration.
        template: the template's text.
        find: gives what there is, told what was last known; without it the configuration's own Docker
            hosts are asked. It is called under the lock, so that no older answer is applied after a newer one.
        check_mode: change nothing, and tell what would be.

    Raises:
        SourceError: nobody answered; nothing was changed.
        TemplateError, ConfigRefused, ReloadFailed: as ``apply`` has them.
        Busy: another pass does not end.
    """
    find = find or partial(ask, settings)
    if check_mode or not settings.haproxy.do_writes:
        return _passed(settings, template, find, check_mode)
    with folder_locked(settings.haproxy.config_file_path.parent, LOCK_TIMEOUT):
        return _passed(settings, template, find, check_mode)


def _passed(settings: Settings, template: str, find: Find, check_mode: bool) -> Report:
    path = settings.haproxy.state_file
    known = state.load(path)
    found = find(known)
    there = state.with_last_known(
        {service.name: found.backends.get(service.name, ()) for service in settings.services}, known, found.unknown
    )
    backends = {
        service.name: service.completed(there[service.name], known.get(service.name, ()))
        for service in settings.services
    }
    values = config.context(settings, backends, template)
    wanted = Wanted(
        config.render(template, values), values["structure"], frozenset(config.server_names(settings, backends))
    )
    applied = apply(settings.haproxy, wanted, check_mode=check_mode)
    if not check_mode:
        state.save(path, backends)
        output.write(settings.haproxy.output_directory, backends)
    return Report(applied, backends, found.refused, found.unknown, settings.notes)


def _of_host(
    server: DockerServer, services: Sequence[Service], known: state.KnownBackends, timeout: int
) -> tuple[dict[str, list[Backend]], list[Refusal]]:
    ids = {
        name: {one.container_id for one in backends if one.docker_host == server.name}
        for name, backends in known.items()
    }
    host = DockerHost(server.name, server.url, timeout)
    try:
        return backends_of(services, server.name, server.host, host.containers(), known=ids, resolve=host.image_of)
    finally:
        host.close()
