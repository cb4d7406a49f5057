"""What the figures of a smoke have to be: there, and within limits so wide that only something broken leaves them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from .figures import Figure

SECONDS = 60.0
LIMITS = {
    "ms": (-1000 * SECONDS, 1000 * SECONDS),
    # Also CPU time of a moment, counted up to a minute: as much of it as there are processors.
    "s": (0.0, SECONDS * (os.cpu_count() or 1) * 1.1),
    "MB": (0.1, 1000.0),
    "/s": (100.0, 1e6),
    "": (0.0, 1e5),
}
"""By the unit. A time may be below zero: Docker's word that a container is healthy can come after its first answer."""


def wrong(figures: Sequence[Figure]) -> list[str]:
    """What is not as it has to be, in a sentence each."""
    said = [] if figures else ["no figures"]
    for figure in figures:
        least, most = LIMITS[figure.unit]
        if not figure.values or not all(math.isfinite(value) and least <= value <= most for value in figure.values):
            said.append(f"{figure.what}, {figure.of}: {figure.values}, expected from {least:g} to {most:g}")
        # Failures and reloads are counted: one is one too many.
        if figure.unit == "" and figure.at_most == 0 and not figure.reached:
            said.append(f"{figure.what}, {figure.of}: {figure.median:g}, expected none")
    return said
