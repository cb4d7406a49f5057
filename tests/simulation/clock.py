"""The time in a simulated world."""

from __future__ import annotations


class Clock:
    """Monotonic seconds that pass only when somebody says so.

    Attributes:
        now: the time.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """As ``time.monotonic``."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
