"""What waits for its time."""

from __future__ import annotations

import time
from collections.abc import Callable


class Timers:
    """Things to do, each at a time of the monotonic clock.

    Args:
        clock: gives that time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}

    def soon(self, what: str, seconds: float = 0.0) -> None:
        """Do something after so many seconds, unless that is planned for earlier already."""
        at = self._clock() + seconds
        self._due[what] = min(self._due.get(what, at), at)

    def due(self, what: str, again: float | None = None) -> bool:
        """Whether it is time for something; it is then no more planned.

        Args:
            what: which.
            again: seconds to the next time, for what comes again and again; it begins now.
        """
        now = self._clock()
        if again is not None:
            self._due.setdefault(what, now)
        if self._due.get(what, now + 1) > now:
            return False
        del self._due[what]
        if again is not None:
            self._due[what] = now + again
        return True

    def wait(self, longest: float) -> float:
        """Seconds until the next thing is due, and no more than ``longest``."""
        now = self._clock()
        return max(0.0, min([now + longest, *self._due.values()]) - now)
