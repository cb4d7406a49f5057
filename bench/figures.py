"""The figures of a measurement, and their file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .plan import Plan


@dataclass(frozen=True)
class Figure:
    """One thing measured, once or many times.

    Attributes:
        what: what was measured, in a few words.
        of: the measured system, application or address.
        unit: ``ms``, ``s``, ``MB``, ``/s``, or empty for a count or a ratio.
        values: each measured value.
        size: the number of servers, if that varies.
        at_most: the goal for the median, as an upper limit.
        at_least: the goal as a lower limit.
        detail: whether it only explains another figure; pages and plots leave it out.
    """

    what: str
    of: str
    unit: str
    values: Sequence[float]
    size: int | None = None
    at_most: float | None = None
    at_least: float | None = None
    detail: bool = False

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def goal(self) -> str:
        """The goal as text; empty if there is none."""
        if self.at_most is not None:
            return f"≤ {number(self.at_most)}" if self.at_most else "0"
        return "" if self.at_least is None else f"≥ {number(self.at_least)}"

    @property
    def reached(self) -> bool:
        """Whether the median reaches the goal."""
        if self.at_most is not None:
            return self.median <= self.at_most
        return self.at_least is None or self.median >= self.at_least


@dataclass(frozen=True)
class Results:
    """The figures of a measurement, and what one needs to judge them.

    Attributes:
        measurement: its name.
        when: the date and time.
        seconds: how long it took.
        machine: the machine.
        plan: the size of the measurement.
        figures: the figures.
    """

    measurement: str
    when: str
    seconds: float
    machine: dict[str, str]
    plan: dict[str, Any]
    figures: Sequence[Figure]

    @property
    def in_full(self) -> bool:
        """Whether this is a full measurement."""
        # As JSON returns it.
        full: dict[str, Any] = json.loads(json.dumps(asdict(Plan())))
        return self.plan == full

    def find(self, what: str, of: str, size: int | None = None) -> Figure | None:
        """Return the figure with these names, or None."""
        named = [figure for figure in self.figures if (figure.what, figure.of, figure.size) == (what, of, size)]
        return named[0] if named else None

    def save(self, folder: Path) -> None:
        """Write the file of this measurement, and replace an earlier one."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, default=float) + "\n"
        (folder / f"{self.measurement}.json").write_text(text)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a file of results."""
        data = json.loads(path.read_text())
        return cls(**{**data, "figures": [Figure(**figure) for figure in data["figures"]]})


def number(value: float) -> str:
    """Format a number with three significant digits."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
