"""Follows a simulated Docker host as ``DockerFollower`` follows a real one, by a simulated clock, without threads."""

from __future__ import annotations

from collections.abc import Mapping

from dockmaster.model.event import GONE, Event
from dockmaster.sources.docker.follower import FIRST_DELAY, LONGEST_DELAY, SETTLES
from dockmaster.sources.protocol import Heard, Listing, Messages, Unreachable

from tests.simulation.clock import Clock
from tests.simulation.simulated_docker import Happening, SimulatedHost

_BELIEVED = GONE | {"pause"}


class SimulatedFollower:
    """Follows one host until it is ended.

    Args:
        host: which.
        messages: where it goes.
        resync_interval: seconds after which everything is listed anew.
        clock: the simulated one.
        latency: seconds that a list takes to come.
    """

    def __init__(
        self, host: SimulatedHost, messages: Messages, resync_interval: float, clock: Clock, latency: float
    ) -> None:
        self._host = host
        self._messages = messages
        self._resync_interval = resync_interval
        self._clock = clock
        self._latency = latency
        self._connected = False
        self._try_at = clock()
        self._delay = FIRST_DELAY
        self._pending: dict[str, tuple[float, Heard]] = {}
        self._all_at = clock()
        self._under_way: tuple[float, Listing] | None = None
        self._last: object = None
        self._over = False

    # The engine's side

    def end(self) -> None:
        """Stop following."""
        self._over = True
        self._disconnect()

    def read_anew(self) -> None:
        """List everything the next time, even if nothing has changed."""
        self._last = None

    # The world's side

    @property
    def next(self) -> float | None:
        """When it has something to do."""
        if self._over:
            return None
        if self._under_way:
            return self._under_way[0]
        times = [at for at, _ in self._pending.values()]
        if not self._connected:
            return self._try_at
        return min([self._all_at, *times])

    def tick(self) -> None:
        """Do what is due."""
        now = self._clock()
        if self._over:
            return
        if self._under_way and self._under_way[0] <= now:
            listing, self._under_way = self._under_way[1], None
            if self._host.reachable:
                self._messages.put(listing)
            else:
                self._not_answered(listing.events)
        if self._connected and not self._host.reachable:
            self._disconnect()
            self._try_at = now
        if not self._connected and self._try_at <= now:
            self._connect()
        if self._connected and self._under_way is None:
            self._ask()

    def _connect(self) -> None:
        now = self._clock()
        if self._host.reachable:
            self._connected, self._delay = True, FIRST_DELAY
            self._host.listeners.append(self._hear)
            self._all_at = now
            return
        self._messages.put(Unreachable(self._host.name, f"Docker host {self._host.name} does not answer", "gone"))
        self._try_at = now + self._delay
        self._delay = min(2 * self._delay, LONGEST_DELAY)

    def _disconnect(self) -> None:
        if self._connected:
            self._connected = False
            self._host.listeners.remove(self._hear)

    def _hear(self, happening: Happening) -> None:
        now = self._clock()
        event = Event(happening.container, happening.action, happening.signal)
        heard = Heard(self._host.name, event, now)
        if event.action in _BELIEVED or event.action == "kill":
            self._messages.put(heard)
        self._last = None
        self._pending[event.container] = (now + (SETTLES if event.action in _BELIEVED else 0.0), heard)

    def _ask(self) -> None:
        now = self._clock()
        everything = self._all_at <= now
        if not everything and not any(at <= now for at, _ in self._pending.values()):
            return
        chosen = self._take(everything)
        entries: list[Mapping[str, object]] | None = list(self._host.listed(None if everything else frozenset(chosen)))
        if everything:
            self._all_at = now + self._resync_interval
            entries, self._last = (None if entries == self._last else entries), entries
        ids = None if everything else frozenset(chosen)
        listing = Listing(self._host.name, entries, ids, now, tuple(chosen.values()))
        self._under_way = (now + self._latency, listing)

    def _take(self, everything: bool) -> dict[str, Heard]:
        now = self._clock()
        chosen = {}
        for container, (at, heard) in list(self._pending.items()):
            if everything or at <= now:
                del self._pending[container]
                chosen[container] = heard
                if now < heard.at + SETTLES:
                    self._pending[container] = (heard.at + SETTLES, heard)
        return chosen

    def _not_answered(self, events: tuple[Heard, ...] | object) -> None:
        self._messages.put(Unreachable(self._host.name, f"Docker host {self._host.name} does not answer", "cut"))
        self._last = None
        if isinstance(events, tuple):
            for heard in events:
                self._pending.setdefault(heard.event.container, (self._clock(), heard))
