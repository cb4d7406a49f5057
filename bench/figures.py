"""What a measurement gives: figures, and the file that they are kept in."""

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
        what: in a few words.
        of: the system, the application or the address that it was measured on.
        unit: ``ms``, ``s``, ``MB``, ``/s``, or empty for a count or a ratio.
        values: each time.
        size: how many servers there were, where that is varied.
        at_most: the goal for the median.
        at_least: likewise.
        detail: whether it only says more of another figure: pages and plots leave it out.
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
        """The goal as text, empty where there is none."""
        if self.at_most is not None:
            return f"≤ {number(self.at_most)}" if self.at_most else "0"
        return "" if self.at_least is None else f"≥ {number(self.at_least)}"

    @property
    def reached(self) -> bool:
        """Whether the median is as good as the goal."""
        if self.at_most is not None:
            return self.median <= self.at_most
        return self.at_least is None or self.median >= self.at_least


@dataclass(frozen=True)
class Results:
    """A measurement's figures with what is needed to judge them.

    Attributes:
        measurement: its name.
        when: the date and time.
        seconds: how long it took.
        machine: what it ran on.
        plan: how much of everything was done.
        figures: what came out.
    """

    measurement: str
    when: str
    seconds: float
    machine: dict[str, str]
    plan: dict[str, Any]
    figures: Sequence[Figure]

    @property
    def in_full(self) -> bool:
        """Whether everything was done as often as a full measurement does it."""
        # As it reads back.
        full: dict[str, Any] = json.loads(json.dumps(asdict(Plan())))
        return self.plan == full

    def find(self, what: str, of: str, size: int | None = None) -> Figure | None:
        """The figure with these names, None where there is none."""
        named = [figure for figure in self.figures if (figure.what, figure.of, figure.size) == (what, of, size)]
        return named[0] if named else None

    def save(self, folder: Path) -> None:
        """Write the file of this measurement, over an earlier one."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, default=float) + "\n"
        (folder / f"{self.measurement}.json").write_text(text)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read such a file."""
        data = json.loads(path.read_text())
        return cls(**{**data, "figures": [Figure(**figure) for figure in data["figures"]]})


def number(value: float) -> str:
    """A number with three digits that count."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
