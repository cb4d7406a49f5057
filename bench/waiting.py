"""Waiting for a condition, never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable


class TooLate(Exception):
    """Something did not come in time."""


def until(what: str, condition: Callable[[], object], seconds: float = 15.0, pause: float = 0.02) -> None:
    """Wait for a condition; raises TooLate with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TooLate(f"{what}: not so after {seconds:g} s")
        time.sleep(pause)
