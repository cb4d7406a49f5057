"""The first table of docs/performance.md: a dozen figures with peers, limits and goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .figures import Figure, Results, number

HEAD = ("what", "Dockmaster", "cron alone", "EasyHAProxy", "limit", "goal", "reached", "measured")
NONE, MISSING = "-", "not measured"
"""The text of a cell with nothing to compare, and of one whose figure is missing."""

Published = Mapping[str, Results]
"""Results by the name of their measurement."""


@dataclass(frozen=True)
class Name:
    """Names a figure of a measurement by its ``what`` and its ``of``."""

    what: str
    of: str


@dataclass(frozen=True)
class Row:
    """One row: figures of one measurement side by side.

    Attributes:
        title: what was measured, in plain words.
        measurement: the measurement that has the figures.
        what: the ``what`` of the figures of all systems.
        ours: the ``of`` of Dockmaster.
        cron: that of Dockmaster without its watcher; empty if that is not compared.
        easyhaproxy: that of EasyHAProxy; empty if that is not compared.
        limit: the figure that is the best possible.
        limit_is: what the limit is, in plain words.
        goal: the figure that has the goal, if it is another one.
        goal_is: what that goal is, after its number.
        among: the figure that has the total of what is counted, such as requests.
        size: the number of servers, if that varies.
    """

    title: str
    measurement: str
    what: str
    ours: str
    cron: str = ""
    easyhaproxy: str = ""
    limit: Name | None = None
    limit_is: str = ""
    goal: Name | None = None
    goal_is: str = ""
    among: str = ""
    size: int | None = None

    def cells(self, published: Published) -> tuple[str, ...]:
        """Return the row as text."""
        results = published.get(self.measurement)
        systems = [self._system(results, of) for of in (self.ours, self.cron, self.easyhaproxy)]
        return (self.title, *systems, self._limit(results), *self._goal(results), self._measured(results))

    def _find(self, results: Results | None, name: Name) -> Figure | None:
        return results.find(name.what, name.of, self.size) if results else None

    def _system(self, results: Results | None, of: str) -> str:
        if not of:
            return NONE
        value = _value(self._find(results, Name(self.what, of)))
        if not self.among or value == MISSING:
            return value
        total = self._find(results, Name(self.among, of))
        return f"{value} in {_value(total)} {self.among}" if total else f"{value}, {self.among} {MISSING}"

    def _limit(self, results: Results | None) -> str:
        return f"{_value(self._find(results, self.limit))}, {self.limit_is}" if self.limit else NONE

    def _goal(self, results: Results | None) -> tuple[str, str]:
        """Return the goal, and whether it is reached."""
        figure = self._find(results, self.goal or Name(self.what, self.ours))
        if figure is None:
            return MISSING, MISSING
        if not figure.goal:
            return NONE, NONE
        goal, reached = _with_unit(figure.goal, figure), "yes" if figure.reached else "no"
        return (f"{goal} {self.goal_is}", f"{reached}, {_value(figure)}") if self.goal else (goal, reached)

    def _measured(self, results: Results | None) -> str:
        if results is None:
            return MISSING
        day = results.when.split()[0]
        return f"[{day}](performance/{self.measurement}.md){'' if results.in_full else ', short'}"


def _value(figure: Figure | None) -> str:
    return MISSING if figure is None else _with_unit(number(figure.median), figure)


def _with_unit(text: str, figure: Figure) -> str:
    return f"{text} {figure.unit}".rstrip()


FINISHES, EXITS = "finishes what it accepted", "exits at once"
GET, POST = "failed that may be repeated (GET)", "failed POST"
ROWS = (
    Row(
        "A container's first answer after its start",
        "convergence",
        "first answer from the start, balanced",
        "watch",
        "cron",
        "EasyHAProxy",
        limit=Name("first answer from the start, directly", "watch"),
        limit_is="asked directly",
        goal=Name("behind the direct answer", "watch"),
        goal_is="behind the limit",
    ),
    Row(
        "The worst of these starts, as a multiple of the direct answer",
        "convergence",
        "balanced : direct, the worst",
        "watch",
        "cron",
        "EasyHAProxy",
    ),
    Row(
        "A container's first answer after Docker calls it healthy",
        "convergence",
        "first answer from healthy, balanced",
        "watch",
        "cron",
        "EasyHAProxy",
    ),
    *(
        Row(title, "churn", what, f"watch: {kind}", f"cron: {kind}", f"EasyHAProxy: {kind}", among=among)
        for title, what, kind, among in (
            ("Failed GETs, the application finishes what it accepted", GET, FINISHES, "requests"),
            ("Failed POSTs, the application finishes what it accepted", POST, FINISHES, "requests"),
            ("Failed GETs, the application exits at once", GET, EXITS, "requests"),
            ("Failed POSTs for each stop, the application exits at once", f"{POST} a stop", EXITS, ""),
            ("HAProxy's reloads while containers change", "reloads", FINISHES, "stops"),
        )
    ),
    *(
        Row(
            title,
            "throughput",
            "requests",
            "rendered",
            limit=Name("requests", by_hand),
            limit_is=by_hand,
            goal=Name(f"rendered : {by_hand}", "requests"),
            goal_is="of the limit",
        )
        for title, by_hand in (
            ("Requests through HAProxy", "by hand"),
            ("The same, when the configuration by hand does as much", "by hand, with retries and ids"),
        )
    ),
    *(
        Row(title, "idle", what, "watch: discovery", "cron: discovery", "EasyHAProxy: discovery")
        for title, what in (
            ("CPU of an idle minute, ten containers", "CPU of an idle minute"),
            ("Memory, ten containers", "memory, resident"),
        )
    ),
    Row(
        "One change among 10,000 servers, until HAProxy has it",
        "scale",
        "one change, applied",
        "watch",
        limit=Name("one change, applied", "watch: haproxy"),
        limit_is="HAProxy's own time",
        goal=Name("one change, applied", "watch: discovery"),
        goal_is="more than the limit",
        size=10_000,
    ),
    Row("A sync of 10,000 servers that changes nothing", "scale", "a sync without a change", "a sync", size=10_000),
    Row("The watcher's memory, 10,000 servers", "scale", "memory, resident", "watch: discovery", size=10_000),
)


def table(published: Published) -> list[tuple[str, ...]]:
    """Return the rows as text, without the head."""
    return [row.cells(published) for row in ROWS]


def shown(measurement: str) -> set[str]:
    """Return the ``what`` of each figure of a measurement that the table shows."""
    rows = [row for row in ROWS if row.measurement == measurement]
    return {row.what for row in rows} | {name.what for row in rows for name in (row.limit, row.goal) if name}
