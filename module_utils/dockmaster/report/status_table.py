"""``dockmaster status`` as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..state.drains import Drain
from ..status import ServerRow, Status

_COLUMNS: Mapping[str, str] = {
    "SERVICE": "service",
    "SERVER": "server",
    "ADDRESS": "address",
    "HOST": "docker_host",
    "CONTAINER": "container",
    "STATE": "state",
    "WANTED": "wanted",
    "HAPROXY": "haproxy",
    "WEIGHT": "weight",
    "SESSIONS": "sessions",
    "REQUESTS": "requests",
    "AGE": "age",
}

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def table(current: Status) -> str:
    """The servers as a table with its headings, and everything else below, a line each."""
    rows = [(*_COLUMNS, "LAST CHANGE"), *(_cells(row) for row in current.servers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [
        f"docker host {source.docker_host}: "
        + ("answers" if source.answers else f"last answered {_since(source.age)}")
        + ("" if source.certificate_days is None else f"; our certificate ends in {source.certificate_days:g} days")
        for source in current.sources
    ]
    lines += [drain_line(drain) for drain in current.drained]
    lines += [
        f"rejected: {one.container} on {one.docker_host}{f' for {one.service}' if one.service else ''}: {one.reason}"
        for one in current.rejected
    ]
    lines += [f"problem: {problem}" for problem in current.problems]
    return "\n".join(lines)


def drain_line(drain: Drain) -> str:
    """What is drained, by whom, and since when."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(drain.at))
    return f"drained: {drain}, by {drain.by or 'root'} at {at}"


def age(seconds: float | None) -> str:
    """A time in its largest unit: ``45s``, ``12m``, ``3h``, ``4d``."""
    if seconds is None:
        return "-"
    size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return f"{int(seconds // size)}{unit}"


def _since(seconds: float | None) -> str:
    return "at a time that nobody remembers" if seconds is None else f"{age(seconds)} ago"


def _cells(row: ServerRow) -> tuple[str, ...]:
    cells = [age(row.age) if name == "age" else _cell(getattr(row, name)) for name in _COLUMNS.values()]
    return *cells, _last_change(row)


def _cell(value: object) -> str:
    return "-" if value in (None, "") else str(value)


def _last_change(row: ServerRow) -> str:
    if row.changed is None:
        return "-"
    return f"{time.strftime('%H:%M:%S', time.localtime(row.changed))} {row.last_change} ({row.cause})"
