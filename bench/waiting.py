"""Wait for a condition, with a time-out."""

from __future__ import annotations

import time
from collections.abc import Callable


class TooLate(Exception):
    """Something did not happen in time."""


def until(what: str, condition: Callable[[], object], seconds: float = 15.0, pause: float = 0.02) -> None:
    """Wait for a condition. Raises TooLate, which names what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TooLate(f"{what}: not within {seconds:g} s")
        time.sleep(pause)
