"""From what runs to what is wanted, by the least disruptive way, or not at all."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..errors import ReloadFailed, RuntimeApiError
from ..settings import HAProxySettings
from . import process
from .config import MANAGED
from .runtime import Runtime

Server = tuple[str, str]
"""Section and name."""


@dataclass(frozen=True)
class Wanted:
    """What haproxy.cfg is to be.

    Attributes:
        text: the whole file.
        structure: the digest in it, of all but the servers.
        servers: those that it has.
    """

    text: str
    structure: str
    servers: frozenset[Server]


@dataclass(frozen=True)
class Applied:
    """What was done, or in check mode would be.

    Attributes:
        action: ``none``, ``write`` (HAProxy does not run, or is not to be told) or ``reload``.
        before: the file's text before, None where there was no file.
        after: and after.
        backup: where the operator's own file was kept, if this pass did so.
    """

    action: str
    before: str | None
    after: str
    backup: Path | None = None


def apply(settings: HAProxySettings, wanted: Wanted, *, check_mode: bool = False) -> Applied:
    """Make the file and the running HAProxy as wanted. The caller holds the folder's lock.

    Raises:
        ConfigRefused: HAProxy does not accept the file; nothing was changed.
        ReloadFailed: HAProxy did not take it; the file before is in place again.
    """
    path = settings.config_file_path
    if not settings.do_writes:
        return Applied("none", files.read(path), wanted.text)
    if check_mode:
        return _predicted(settings, wanted)
    before = files.read(path)
    action = _action(settings, wanted, before)
    if action == "none":
        return Applied(action, before, wanted.text)
    backup = None
    with files.candidate(path, wanted.text) as candidate:
        if settings.do_checks:
            process.check(settings, candidate)
        if before is not None and not before.startswith(MANAGED):
            backup = _keep(path, before)
        candidate.replace(path)
    if action == "reload":
        _reload_or_return(settings, before)
    return Applied(action, before, wanted.text, backup)


def wait_until_checked(settings: HAProxySettings, servers: Collection[Server], timeout: float) -> list[str]:
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
            usable = {(state.proxy, state.name) for state in runtime.servers() if state.usable and state.checked}
        except RuntimeApiError:
            usable = set()
        missing = sorted(f"{proxy}/{name}" for proxy, name in set(servers) - usable)
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.1)


def _action(settings: HAProxySettings, wanted: Wanted, before: str | None) -> str:
    if before == wanted.text and _in_force(settings, wanted):
        return "none"
    if settings.do_reloads and process.running(settings):
        return "reload"
    return "none" if before == wanted.text else "write"


def _in_force(settings: HAProxySettings, wanted: Wanted) -> bool:
    """Whether HAProxy runs what the file says; what cannot be asked counts as so.

    It does not after a crash between writing and reloading.
    """
    if settings.socket_file_path is None:
        return True
    runtime = Runtime(settings.socket_file_path)
    try:
        if runtime.structure() != wanted.structure:
            return False
        sections = {proxy for proxy, _ in wanted.servers}
        return {(state.proxy, state.name) for state in runtime.servers() if state.proxy in sections} == wanted.servers
    except RuntimeApiError:
        return True


def _predicted(settings: HAProxySettings, wanted: Wanted) -> Applied:
    """The same without a trace: on a bare machine there is no folder and no HAProxy to judge yet."""
    path = settings.config_file_path
    before = files.read(path)
    action = _action(settings, wanted, before)
    if action != "none" and settings.do_checks and process.installed() and path.parent.is_dir():
        with files.candidate(path, wanted.text) as candidate:
            process.check(settings, candidate)
    return Applied(action, before, wanted.text)


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
