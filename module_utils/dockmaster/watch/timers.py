"""What waits for its time."""

from __future__ import annotations

import time


class Timers:
    """Things to see to, each at a time by the monotonic clock."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def soon(self, what: str, seconds: float = 0.0) -> None:
        """See to something after so many seconds, unless that is planned for earlier already."""
        at = time.monotonic() + seconds
        self._due[what] = min(self._due.get(what, at), at)

    def due(self, what: str, again: float | None = None) -> bool:
        """Whether it is time for something; it is then off the agenda.

        Args:
            what: which.
            again: seconds to the next time, for what comes again and again; it begins now.
        """
        now = time.monotonic()
        if again is not None:
            self._due.setdefault(what, now)
        if self._due.get(what, now + 1) > now:
            return False
        del self._due[what]
        if again is not None:
            self._due[what] = now + again
        return True

    def wait(self, longest: float) -> float:
        """Seconds until the next thing is due."""
        now = time.monotonic()
        return max(0.0, min([now + longest, *self._due.values()]) - now)
