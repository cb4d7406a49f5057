"""Check the figures of a smoke run: they must exist, and lie within limits that only a broken system exceeds."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from .figures import Figure

SECONDS = 60.0
LIMITS = {
    "ms": (-1000 * SECONDS, 1000 * SECONDS),
    # CPU time of a moment is also scaled to a minute, so it may be one minute for each processor.
    "s": (0.0, SECONDS * (os.cpu_count() or 1) * 1.1),
    "MB": (0.1, 1000.0),
    "/s": (100.0, 1e6),
    "": (0.0, 1e5),
}
"""By the unit. A time may be negative: a container can answer before Docker reports that it is healthy."""


def wrong(figures: Sequence[Figure]) -> list[str]:
    """Return a sentence for each wrong figure."""
    problems = [] if figures else ["no figures"]
    for figure in figures:
        least, most = LIMITS[figure.unit]
        if not figure.values or not all(math.isfinite(value) and least <= value <= most for value in figure.values):
            problems.append(f"{figure.what}, {figure.of}: {figure.values}, expected from {least:g} to {most:g}")
        # Failures and reloads: one is too many.
        if figure.unit == "" and figure.at_most == 0 and not figure.reached:
            problems.append(f"{figure.what}, {figure.of}: {figure.median:g}, expected none")
    return problems
