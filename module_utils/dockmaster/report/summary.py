"""What a sync did, in a line for people; and its difference."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from ..haproxy.apply import Applied
from ..sync import Report

_SERVER = re.compile(r"^\s*server (\S+) (\S+)", re.MULTILINE)
_DONE = {
    "none": "nothing to do",
    "write": "wrote the file",
    "runtime": "changed servers without a reload",
    "reload": "reloaded HAProxy",
}
_WOULD = {
    "write": "would write the file",
    "runtime": "would change servers without a reload",
    "reload": "would reload HAProxy",
}


def line(report: Report, check_mode: bool = False) -> str:
    """One line: what was done, which servers came and went, who did not answer."""
    did = _DONE[report.applied.action]
    if check_mode and report.changed:
        did = _WOULD[report.applied.action]
    if report.applied.reason:
        did += f" ({report.applied.reason})"
    parts = [did, *_servers(report.applied)]
    parts += [f"{name} goes on serving: its service has no better usable server" for name in report.last_usable]
    parts += [f"{change.server[1]}: {change.reason}" for change in report.applied.changes if change.reason]
    if report.applied.backup:
        parts.append(f"the file that was there is kept as {report.applied.backup}")
    parts += [f"last known servers stay: {reason}" for reason in report.unreachable.values()]
    return "; ".join(parts)


def difference(applied: Applied, path: Path) -> str:
    """The file's change as a unified diff; empty without one."""
    before = (applied.before or "").splitlines(keepends=True)
    after = applied.after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, f"{path} (before)", f"{path} (after)"))


def _servers(applied: Applied) -> list[str]:
    before, after = (set(_SERVER.findall(text or "")) for text in (applied.before, applied.after))
    return [
        f"{word} {', '.join(f'{name} ({address})' for name, address in sorted(which))}"
        for word, which in (("added", after - before), ("removed", before - after))
        if which
    ]
