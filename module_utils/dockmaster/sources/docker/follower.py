"""Follows one Docker host: two threads, one that hears events and one that asks what is so now."""

from __future__ import annotations

import threading
import time

from ...config.settings import DockerHost
from ...errors import SourceError
from ...model.event import GONE, Event
from ..protocol import Heard, Listing, Messages, Unreachable
from .client import DockerClient

FIRST_DELAY = 0.05
LONGEST_DELAY = 0.8
"""Seconds from one try to reach a host to the next: it is taken up within a second of being back."""

SETTLES = 0.3
"""Seconds after an event for which Docker's list may still show what was so before."""

QUIET = 0.9
"""Part of the resync interval after which a silent stream is begun anew. What is listed then counts as the resync."""

_URGENT = GONE | {"kill", "pause"}
_BELIEVED = GONE | {"pause"}
"""Events that say themselves what is so now: the list is asked once it says so too."""
_AT_ONCE = 50
"""Containers asked about in one request: their ids stand in its URL."""


class DockerFollower:
    """Follows one Docker host until ``end`` is called, and puts what it learns into a queue.

    Args:
        server: the Docker host.
        messages: where it goes.
        resync_interval: seconds after which everything is asked anew.
        timeout: seconds for an answer.
    """

    def __init__(self, server: DockerHost, messages: Messages, resync_interval: float, timeout: int = 5) -> None:
        self.server = server
        self._messages = messages
        self._resync_interval = resync_interval
        self._timeout = timeout
        self._changed = threading.Condition()
        self._pending: dict[str, tuple[float, Heard]] = {}
        self._all = False
        self._news = False
        self._ended = threading.Event()
        for work in (self._listen, self._ask):
            threading.Thread(target=work, name=f"{work.__name__[1:]} {server.name}", daemon=True).start()

    def end(self) -> None:
        """Stop following; a thread that waits for the host ends when that answers."""
        self._ended.set()
        with self._changed:
            self._changed.notify()

    def resync(self) -> None:
        """Ask for everything, soon."""
        with self._changed:
            self._all = True
            self._changed.notify()

    def read_anew(self) -> None:
        """List everything the next time, even if nothing has changed."""
        with self._changed:
            self._news = True

    def _host(self) -> DockerClient:
        server = self.server
        # A host that comes back answers the next try, and not one that is under way.
        return DockerClient(server.name, server.url, self._timeout, tls=server.tls, connect=LONGEST_DELAY)

    def _listen(self) -> None:
        """Hear events; one connection after another."""
        delay, host = FIRST_DELAY, self._host()
        while not self._ended.is_set():
            try:
                begun = time.monotonic()
                for event in host.events(QUIET * self._resync_interval):
                    if self._ended.is_set():
                        break
                    if event is None:
                        # Subscribed: what is listed from now on misses nothing.
                        self.resync()
                    else:
                        self._hear(event)
            except SourceError as error:
                self._messages.put(Unreachable(self.server.name, str(error), error.why))
                # What answers next may be another engine.
                host.close()
                host = self._host()
            lasted = time.monotonic() - begun
            delay = FIRST_DELAY if lasted > LONGEST_DELAY else delay
            self._ended.wait(max(FIRST_DELAY, delay - lasted))
            delay = min(2 * delay, LONGEST_DELAY)
        host.close()

    def _hear(self, event: Event) -> None:
        heard = Heard(self.server.name, event, time.monotonic())
        if event.action in _URGENT:
            self._messages.put(heard)
        with self._changed:
            self._news = True
            self._pending[event.container] = (heard.at + (SETTLES if event.action in _BELIEVED else 0.0), heard)
            self._changed.notify()

    def _ask(self) -> None:
        """Ask what is so now: of the containers that something happened to, and at times of all."""
        host = self._host()
        following = time.monotonic() + self._resync_interval
        while not self._ended.is_set():
            with self._changed:
                while not (self._all or self._ended.is_set()):
                    now = time.monotonic()
                    times = [when for when, _ in self._pending.values()]
                    if min(times, default=following) <= now:
                        break
                    self._changed.wait(min([*times, following]) - now)
                    self._all = self._all or time.monotonic() >= following
                everything, self._all = self._all, False
                if everything and self._news:
                    self._news = False
                    host.forget()
                chosen = self._take(everything)
            if self._ended.is_set():
                break
            if everything:
                following = time.monotonic() + self._resync_interval
            asked = time.monotonic()
            try:
                listed = host.containers_unless_as_before() if everything else host.containers(list(chosen))
            except SourceError as error:
                self._messages.put(Unreachable(self.server.name, str(error), error.why))
                with self._changed:
                    self._news = True
                    for container, heard in chosen.items():
                        self._pending.setdefault(container, (asked, heard))
                    # The thread that listens finds out when it is back, and has everything asked then.
                    self._changed.wait_for(lambda: self._all or self._ended.is_set(), LONGEST_DELAY)
                    self._all = True
                continue
            ids = None if everything else frozenset(chosen)
            self._messages.put(Listing(self.server.name, listed, ids, asked, tuple(chosen.values())))
        host.close()

    def _take(self, everything: bool) -> dict[str, Heard]:
        """The containers to ask about now; those that something has just happened to are looked at once more."""
        now = time.monotonic()
        due = [container for container, (when, _) in self._pending.items() if everything or when <= now]
        chosen = {}
        for container in due[: None if everything else _AT_ONCE]:
            _, heard = self._pending.pop(container)
            chosen[container] = heard
            if now < heard.at + SETTLES:
                self._pending[container] = (heard.at + SETTLES, heard)
        return chosen
