"""From what runs to what is wanted, by the least disruptive way, or not at all."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..config.settings import HAProxySettings
from ..errors import ReloadFailed, RuntimeApiError, RuntimeApiSilent
from . import process
from .commands import DELETED, Change, changes, delete, leave
from .runtime import MAINT, Running, Runtime
from .servers import Key, Server
from .template import MANAGED

NONE = "none"
WRITE = "write"
RUNTIME = "runtime"
RELOAD = "reload"

_LINE = re.compile(r"^(?:(?:listen|backend) (\S+)|    server (\S+) \S+ ?(.*))$", re.MULTILINE)


@dataclass(frozen=True)
class Wanted:
    """What haproxy.cfg is to be.

    Attributes:
        text: the whole file.
        structure: the digest in it, of all but the servers.
        servers: those that it has: they are to serve.
        wanted: what is wanted of each server of ours, ``serve``, ``drain`` or ``leave``; HAProxy's other
            servers are left alone.
        spared: servers that the watcher has changed since Docker was asked: they stay as they are.
    """

    text: str
    structure: str
    servers: Mapping[Key, Server]
    wanted: Mapping[Key, str]
    spared: frozenset[Key] = frozenset()

    def leaves(self, key: Key) -> bool:
        """Whether a server is on its way out, or out."""
        return self.wanted.get(key) == "leave"


@dataclass(frozen=True)
class Plan:
    """What there is to do.

    Attributes:
        action: ``none``, ``write`` (only the file: HAProxy does not run, is not to be told, or runs so already),
            ``runtime`` (servers change, without a reload) or ``reload``.
        before: the file's text before, None where there is no file.
        changes: of servers, where the action is ``runtime``.
        reason: why it has to be a reload, where servers alone have changed.
    """

    action: str
    before: str | None
    changes: Sequence[Change] = ()
    reason: str = ""


@dataclass(frozen=True)
class Applied:
    """What was done, or in check mode would be.

    Attributes:
        action: as of the plan.
        before: the file's text before, None where there was no file.
        after: and after.
        backup: where the operator's own file was kept, if this sync did so.
        changes: of servers at run time.
        reason: why it had to be a reload, where servers alone have changed.
    """

    action: str
    before: str | None
    after: str
    backup: Path | None = None
    changes: Sequence[Change] = ()
    reason: str = ""


def running(settings: HAProxySettings) -> Running | None:
    """What runs, or None where nothing does or nobody can be asked."""
    if settings.socket_file_path is None or not process.running(settings):
        return None
    try:
        return Runtime(settings.socket_file_path).running()
    except RuntimeApiError:
        return None


def plan(settings: HAProxySettings, wanted: Wanted, now: Running | None, *, renew: bool = False) -> Plan:
    """The least disruptive way from what runs now to what is wanted; with renew, a reload whatever runs."""
    before = files.read(settings.config_file_path)
    if not settings.do_writes:
        return Plan(NONE, before)
    write = NONE if before == wanted.text else WRITE
    if not settings.do_reloads or not process.running(settings):
        return Plan(write, before)
    if now is None:
        # Nobody can be asked what runs, so it counts as what the file says.
        socket = settings.socket_file_path
        reason = f"no answer on {socket}" if socket else "there is no runtime socket to change servers by"
        return Plan(NONE, before) if write == NONE else Plan(RELOAD, before, reason=reason)
    if now.structure != wanted.structure or _other_options(before or "", wanted.text):
        return Plan(RELOAD, before)
    if renew:
        return Plan(RELOAD, before, reason="new servers that stay down are checked as the file says")
    dead = [state for key, state in now.servers.items() if state.admin == MAINT and wanted.leaves(key)]
    if len(dead) > settings.dead_servers and not now.deletes:
        return Plan(RELOAD, before, reason=f"{len(dead)} servers that are gone are dropped")
    try:
        todo = [
            change
            for change in changes(wanted.wanted, wanted.servers, now, settings.drain_timeout)
            if change.server not in wanted.spared
        ]
    except RuntimeApiError as error:
        return Plan(RELOAD, before, reason=str(error))
    if any(change.server not in now.servers for change in todo) and not now.adds:
        return Plan(RELOAD, before, reason="this HAProxy cannot add a server at run time")
    if now.deletes:
        todo += [delete(state.key) for state in dead if state.sessions == 0]
    return Plan(RUNTIME if todo else write, before, todo)


def predict(settings: HAProxySettings, wanted: Wanted, planned: Plan) -> Applied:
    """What would be done, without a trace: on a bare machine there is no folder and no HAProxy to judge yet."""
    path = settings.config_file_path
    if planned.action != NONE and settings.do_checks and process.installed() and path.parent.is_dir():
        with files.candidate(path, wanted.text) as candidate:
            process.check(settings, candidate)
    return Applied(planned.action, planned.before, wanted.text, None, planned.changes, planned.reason)


@dataclass(frozen=True)
class Written:
    """A file that was put in place.

    Attributes:
        before: its text before, None where there was none.
        backup: where the operator's own was kept.
    """

    before: str | None
    backup: Path | None = None


def write(settings: HAProxySettings, wanted: Wanted, planned: Plan) -> Written:
    """Put the file there, unless it says so already; before a reload HAProxy is asked anyway. Raises ConfigRefused."""
    asked = planned.action == RELOAD or (planned.action != NONE and planned.before != wanted.text)
    return Written(planned.before, _write(settings, wanted, planned.before) if asked else None)


def apply(
    settings: HAProxySettings, wanted: Wanted, planned: Plan, now: Running | None, written: Written | None = None
) -> Applied:
    """Carry out a plan. The caller holds the folder's lock, and where servers change the one of those.

    Args:
        settings: where HAProxy's files are.
        wanted: what is to be.
        planned: the way there.
        now: what runs.
        written: what became of the file, where it is in place already.

    Raises:
        ConfigRefused: HAProxy does not accept the file; nothing was changed.
        ReloadFailed: HAProxy did not take it; the file before is in place again.
    """
    written = written or write(settings, wanted, planned)
    action, reason, done = planned.action, planned.reason, planned.changes
    if action == RUNTIME and settings.socket_file_path:
        try:
            done = _change(Runtime(settings.socket_file_path), wanted, planned.changes, settings.drain_timeout)
            if not done:
                action = NONE
        except RuntimeApiError as error:
            action, reason = RELOAD, str(error)
    if action == NONE and settings.do_writes and written.before != wanted.text:
        action = WRITE
    if action == RELOAD:
        _reload_or_return(settings, written.before)
        _hold_back(settings, wanted, now)
    return Applied(action, written.before, wanted.text, written.backup, done, reason)


def wait_until_checked(settings: HAProxySettings, servers: Collection[Key], timeout: float) -> list[str]:
    """Wait until HAProxy's own checks have found every server usable.

    Args:
        settings: with a runtime socket; without one there is nothing to ask.
        servers: section and name.
        timeout: seconds.

    Returns:
        Those that were not usable by then.
    """
    if settings.socket_file_path is None:
        return []
    runtime = Runtime(settings.socket_file_path)
    deadline = time.monotonic() + timeout
    while True:
        try:
            usable = {state.key for state in runtime.servers() if state.usable and state.checked}
        except RuntimeApiError:
            usable = set()
        missing = sorted(f"{proxy}/{name}" for proxy, name in set(servers) - usable)
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.1)


def _write(settings: HAProxySettings, wanted: Wanted, before: str | None) -> Path | None:
    """Put the file there once HAProxy accepts it; returns where the operator's own was kept."""
    path, backup = settings.config_file_path, None
    with files.candidate(path, wanted.text) as candidate:
        if settings.do_checks:
            process.check(settings, candidate)
        if before is not None and not before.startswith(MANAGED):
            backup = _keep(path, before)
        candidate.replace(path)
    return backup


def _change(runtime: Runtime, wanted: Wanted, todo: Sequence[Change], drain_timeout: float) -> list[Change]:
    """Make the changes; returns those that were made."""
    done = []
    for change in todo:
        try:
            runtime.change(change.commands)
        except RuntimeApiSilent:
            raise
        except RuntimeApiError:
            # Somebody still holds it; the next sync tries again.
            if change.kind != DELETED:
                raise
            continue
        done.append(change)
    # What has no request under way need not wait for the next sync.
    leaving = {change.server for change in todo if wanted.leaves(change.server)}
    for section in {section for section, _ in leaving}:
        for state in runtime.servers(section, leaving):
            if last := leave(state, drain_timeout=drain_timeout):
                runtime.change(last.commands)
                done.append(last)
    return done


def _other_options(before: str, after: str) -> bool:
    """Whether a server that stays has other options: no command changes those."""
    if before == after:
        return False
    there, wanted = _options(before), _options(after)
    return any(there.get(key, options) != options for key, options in wanted.items())


def _options(text: str) -> dict[Key, str]:
    section, found = "", {}
    for head, server, options in _LINE.findall(text):
        if head:
            section = head
        else:
            found[section, server] = options
    return found


def _hold_back(settings: HAProxySettings, wanted: Wanted, before: Running | None) -> None:
    """After a reload every server counts as up: those that were not before wait for their check again."""
    if before is None or settings.socket_file_path is None:
        return
    usable = {(state.host, state.port): state.name for state in before.servers.values() if state.usable}
    commands = [
        f"set server {server.path} health down"
        for key, server in wanted.servers.items()
        if server.checked and not (before.servers[key].usable if key in before.servers else _is_one_of(usable, server))
    ]
    runtime = Runtime(settings.socket_file_path)
    for first in range(0, len(commands), _AT_ONCE):
        runtime.command("; ".join(commands[first : first + _AT_ONCE]))


def _is_one_of(names: Mapping[tuple[str, int], str], server: Server) -> bool:
    """Whether a server of a new name is one of these, by address: of another section, or with its Docker host named."""
    before = names.get((server.host, server.port))
    return before is not None and (server.name.endswith(before) or before.endswith(server.name))


_AT_ONCE = 40
"""Commands in one line: HAProxy takes 16 kB."""


def _keep(path: Path, text: str) -> Path:
    """Keep the operator's own file; an earlier one that was kept is not overwritten."""
    kept = path.with_name(f"{path.name}.before-dockmaster")
    if kept.exists():
        kept = path.with_name(f"{kept.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    files.replace(kept, text)
    return kept


def _reload_or_return(settings: HAProxySettings, before: str | None) -> None:
    """Reload; where HAProxy does not take the file, put the one before back and reload that."""
    try:
        process.reload(settings)
    except ReloadFailed as error:
        if before is None:
            raise
        files.replace(settings.config_file_path, before)
        try:
            process.reload(settings)
        except ReloadFailed as again:
            raise ReloadFailed(f"{error}; the file before is back in place, and not taken either: {again}") from error
        raise ReloadFailed(f"{error}; the file before is back in place and in force") from error
