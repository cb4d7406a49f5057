"""One sync: take a snapshot, decide, plan, and make haproxy.cfg and HAProxy so."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .config.settings import Settings
from .errors import Busy
from .haproxy import template as rendering
from .haproxy.apply import RELOAD, RUNTIME, Applied, Plan, Wanted, Written, apply, plan, predict, running, write
from .haproxy.servers import Key, by_key, by_service
from .lock import folder_locked
from .model.endpoint import Endpoint, Rejection, in_order
from .report import output_files
from .snapshot import Find, Snapshot
from .state import changed_servers, drains, history, last_known
from .state.drains import Drains

GIVEN_ANSWERS = 60.0
"""Seconds that answers may be old which a playbook gives, where it does not say how old they are."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another sync: a check and a reload of a large file take less."""


@dataclass(frozen=True)
class Report:
    """What a sync found and did.

    Attributes:
        applied: what was done to the file and to HAProxy.
        endpoints: those that serve, by service; those of unreachable sources as last known.
        rejected: containers that cannot serve, with the reason.
        unreachable: sources that did not answer, with the reason.
        notes: of the configuration.
        last_usable: servers that go on serving only because no better one is usable, by section and name.
    """

    applied: Applied
    endpoints: Mapping[str, Sequence[Endpoint]]
    rejected: Sequence[Rejection]
    unreachable: Mapping[str, str]
    notes: Sequence[str]
    last_usable: Sequence[str] = ()

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
            "last_usable": list(self.last_usable),
            "endpoints": {name: [one.as_dict() for one in found] for name, found in self.endpoints.items()},
            "rejected": [rejection.as_dict() for rejection in self.rejected],
            "unreachable_sources": dict(self.unreachable),
            "notes": list(self.notes),
            "backup_file": str(self.applied.backup) if self.applied.backup else None,
        }


def run(
    settings: Settings,
    template: str,
    find: Find | None = None,
    *,
    check_mode: bool = False,
    renew: bool = False,
    age: float = GIVEN_ANSWERS,
    unreachable: Mapping[str, str] | None = None,
    drained: Drains | None = None,
) -> Report:
    """Make haproxy.cfg and HAProxy as the sources say.

    Args:
        settings: the configuration.
        template: the template's text.
        find: gives what the sources say, told what was last known; without it they are asked, under the lock, so that
            no older answer is applied after a newer one.
        check_mode: change nothing, and tell what would be.
        renew: reload HAProxy whatever runs, so that every server is as the file says.
        age: seconds that the answers of ``find`` may be old.
        unreachable: sources that did not answer a moment ago, with the reason; the others may be unreachable as well.
        drained: what is drained, if the file does not say so yet.

    Raises:
        SourceError: nobody answered; nothing was changed.
        TemplateError, ConfigRefused, ReloadFailed: as ``apply`` has them.
        Busy: another sync does not end.
    """
    lenient = unreachable is not None
    take = partial(Snapshot.taken, settings, find, drains=drained, unreachable=unreachable, lenient=lenient)
    plan_it = partial(_Sync.planned, template=template, renew=renew)
    if check_mode:
        return plan_it(take()).predicted()
    if not settings.haproxy.do_writes:
        return plan_it(take()).done()
    folder = settings.haproxy.run_directory
    with folder_locked(settings.haproxy.config_file_path.parent, LOCK_TIMEOUT):
        asked = time.monotonic()
        first = plan_it(take())
        if find is None and first.plan.action == RUNTIME:
            # What the watcher has done since the sources were asked is newer than their answer, and it need not wait.
            first = first.sparing(changed_servers.since(folder, asked))
            if first.plan.action == RUNTIME:
                # Before anybody has to wait: of a large file HAProxy takes seconds to say whether it accepts it.
                first = first.with_file()
        if first.plan.action not in (RUNTIME, RELOAD):
            return first.done()
        with servers_locked(settings, LOCK_TIMEOUT):
            if find is not None:
                given = plan_it(take(), spared=changed_servers.since(folder, time.monotonic() - age))
                if not (given.plan.action == RELOAD and given.wanted.spared and settings.docker_hosts):
                    return given.done()
                # A reload puts the file in force, and something has changed since those answers.
                find, lenient, unreachable = None, True, None
            else:
                now = running(settings.haproxy)
                second = plan_it(
                    first.snapshot.with_running(now), spared=changed_servers.since(folder, asked), written=first.written
                )
                if second.plan.action != RELOAD:
                    return second.done()
                unreachable = first.snapshot.found.unreachable
            # A reload puts the file in force: that has to be what the sources say now.
            again = Snapshot.taken(settings, drains=drained, unreachable=unreachable, lenient=lenient)
            return plan_it(again).done()


@contextmanager
def servers_locked(settings: Settings, timeout: float) -> Iterator[None]:
    """Nobody else changes HAProxy's servers for as long as the block lasts; raises Busy."""
    settings.haproxy.run_directory.mkdir(parents=True, exist_ok=True)
    with folder_locked(settings.haproxy.run_directory, timeout):
        yield


@dataclass(frozen=True)
class _Sync:
    """A sync that is planned, with nothing changed yet."""

    snapshot: Snapshot
    wanted: Wanted
    plan: Plan
    written: Written | None = None

    @classmethod
    def planned(
        cls,
        snapshot: Snapshot,
        *,
        template: str,
        renew: bool,
        spared: frozenset[Key] = frozenset(),
        written: Written | None = None,
    ) -> _Sync:
        settings = snapshot.settings
        servers = by_service(settings, snapshot.serving)
        values = rendering.context(settings, servers, template)
        wanted = Wanted(
            rendering.render(template, values),
            values["structure"],
            by_key(servers),
            {key: one.verdict.wanted.value for key, one in snapshot.decided.items()},
            spared,
        )
        return cls(snapshot, wanted, plan(settings.haproxy, wanted, snapshot.running, renew=renew), written)

    @property
    def settings(self) -> Settings:
        return self.snapshot.settings

    def sparing(self, spared: frozenset[Key]) -> _Sync:
        """The same less the servers that somebody has changed meanwhile."""
        wanted = replace(self.wanted, spared=spared)
        return replace(self, wanted=wanted, plan=plan(self.settings.haproxy, wanted, self.snapshot.running))

    def with_file(self) -> _Sync:
        """The same with its file in place."""
        return replace(self, written=write(self.settings.haproxy, self.wanted, self.plan))

    def predicted(self) -> Report:
        """Change nothing."""
        return self._report(predict(self.settings.haproxy, self.wanted, self.plan))

    def done(self) -> Report:
        """Carry it out."""
        haproxy = self.settings.haproxy
        applied = apply(haproxy, self.wanted, self.plan, self.snapshot.running, self.written)
        last_known.save(haproxy.state_file, self.snapshot.to_remember(self._last_answers()))
        self._keep_history(applied)
        self._forget_drains()
        output_files.write(haproxy.output_directory, self.snapshot.serving)
        return self._report(applied)

    def _keep_history(self, applied: Applied) -> None:
        """Leave for ``dockmaster status`` what this sync has done and heard."""
        folder = self.settings.haproxy.run_directory
        folder.mkdir(parents=True, exist_ok=True)
        mine = history.load(folder, ("sync",))
        for change in applied.changes:
            decided = self.snapshot.decided.get(change.server)
            mine.changed("/".join(change.server), change.kind, decided.verdict.reason if decided else "sync")
        for name in self.settings.docker_hosts:
            if name in self.snapshot.found.answers:
                mine.answered(name)
        history.save(folder, "sync", mine)

    def _last_answers(self) -> dict[str, float]:
        """When the sources that are unreachable now have last answered."""
        last = {**self.snapshot.known.answered, **history.load(self.settings.haproxy.run_directory).answers}
        unreachable = self.snapshot.found.unreachable
        return {name: last[name] for name in self.settings.docker_hosts if name in unreachable and name in last}

    def _forget_drains(self) -> None:
        """Drains of what is gone for long are forgotten."""
        path, found = drains.file_of(self.settings.haproxy), self.snapshot.found
        if not any(answer.names for answer in found.answers.values()):
            # Where endpoints were given, nobody may know which containers there are.
            return

        def left(before: Drains) -> Drains:
            return drains.still_meant(before, self.settings.docker_hosts, found.names_of, time.time())

        before = drains.load(path)
        if [(one, one.missing) for one in left(before)] == [(one, one.missing) for one in before]:
            return
        # Somebody who is changing the file makes a sync as well.
        with suppress(Busy), folder_locked(path.parent, 0):
            drains.save(path, left(drains.load(path)))

    def _report(self, applied: Applied) -> Report:
        found = self.snapshot.found
        endpoints = {name: in_order(some) for name, some in self.snapshot.serving.items()}
        kept = ["/".join(one.key) for one in self.snapshot.last_usable]
        return Report(applied, endpoints, found.rejected, found.unreachable, self.settings.notes, kept)
