"""What is wanted held against what is, server by server. An event says which servers; what to do follows from state."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from ..catalog import Catalog, Condition
from ..config.settings import Settings
from ..errors import RuntimeApiError, RuntimeApiSilent
from ..haproxy.runtime import MAINT, READY
from ..haproxy.servers import Key, is_named_by_us, servers_of, servers_of_the_operator
from ..snapshot import left_over, may_be_known
from ..state.drains import DrainsFile
from ..state.stopping import StoppingContainers, stopping_of
from ..traffic import Facts, ServiceFacts, Standing, Verdict, Wanted, best_of, decide, is_plain, standing_of
from .servers import Cause, HAProxyServers


class Reconciler:
    """Decides and acts for the servers that something happened to.

    A service's healthy servers are only counted. The others are few, and are looked at again and again: whether each of
    them serves depends on what else is usable.

    Args:
        settings: the configuration.
        catalog: what the sources said.
        servers: HAProxy's.
        stopping: containers that are about to stop.
        drains: what the operator has drained.
        failed: is told what HAProxy refuses; it holds up none of the other servers.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        servers: HAProxyServers,
        stopping: StoppingContainers,
        drains: DrainsFile,
        failed: Callable[[RuntimeApiError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self.catalog = catalog
        self._servers = servers
        self._stopping = stopping
        self._drains = drains
        self._failed = failed
        self._clock = clock
        self._theirs = {name: servers_of_the_operator(service) for name, service in catalog.sections.items()}
        self._others: dict[str, set[Key]] = {section: set() for section in catalog.sections}
        self._with_healthy: set[str] = set()
        self._gone: set[Key] = set()
        self._verdicts: dict[Key, Verdict] = {}
        self.unheard = set(settings.docker_hosts)
        """Sources that have neither answered nor failed to: nothing is known of what they last said."""
        self.unreachable: set[str] = set()
        """Sources that do not answer now: what they may know is left alone."""
        self.urgent: set[str] = set()
        """Sections without a usable server, of which others may serve: they are to be looked at again soon."""
        self.unclear: dict[str, frozenset[str]] = {}
        """Ids of containers by Docker host of which only a sync can tell what they are."""

    # What happened

    def changed(self, keys: Collection[Key], cause: Cause) -> None:
        """Decide for servers of which something has changed; those that no source knows any more are dead."""
        self.classify(keys)
        self._settle(keys, cause, dead=True)
        for section in {section for section, _ in keys}:
            had_healthy = section in self._with_healthy
            self._note_healthy(section)
            turned = had_healthy != (section in self._with_healthy)
            if self._others[section] and turned:
                self.look_again(section, cause)
            elif self._others[section] and self._none_is_usable(section):
                self.urgent.add(section)

    def classify(self, keys: Iterable[Key]) -> None:
        """Take note of what is known of servers. Of several that change at once this comes first for all of them: what
        is decided for one of them depends on the others."""
        for key in keys:
            self._classify(key)

    def look_again(self, section: str, cause: Cause) -> None:
        """Decide again for those servers of a section that depend on what else is usable."""
        self._settle(list(self._others[section]), cause)

    def everything(self, cause: Cause) -> None:
        """Hold everything that runs against everything that is known; raises RuntimeApiError."""
        running = self._servers.learn()
        for section in self._others:
            self._others[section].clear()
        self._verdicts.clear()
        if not self.unheard:
            for key, state in running.servers.items():
                if key in self.catalog.entries or state.admin == MAINT or not self._is_left_over(key):
                    continue
                entry = left_over(self.catalog.sections[key[0]], state, self._clock())
                if entry and self.catalog.runs(key[1]):
                    self.catalog.add_left_over(key, entry)
                else:
                    self._gone.add(key)
        self.classify(self.catalog.entries)
        self._settle([*self.catalog.entries, *self._gone], cause)
        for section in self.catalog.sections:
            self._note_healthy(section)

    def _note_healthy(self, section: str) -> None:
        if self._healthy(section):
            self._with_healthy.add(section)
        else:
            self._with_healthy.discard(section)

    def _is_left_over(self, key: Key) -> bool:
        """Whether HAProxy has a server of ours that no source knows, though all were heard that might."""
        if key[0] not in self.catalog.sections or key[1] in self._theirs[key[0]] or not is_named_by_us(key[1]):
            return False
        unclear = frozenset().union(*self.unclear.values())
        return not may_be_known(self.catalog.sections[key[0]], key[1], self.unreachable, unclear)

    # What follows

    def leaves(self, key: Key) -> bool:
        """Whether a server is on its way out, or out."""
        verdict = self._verdicts.get(key)
        if verdict is not None:
            return verdict.wanted is Wanted.LEAVE
        if key in self._gone:
            return True
        return (
            key not in self.catalog.entries
            and key[0] in self.catalog.sections
            and is_named_by_us(key[1])
            and key[1] not in self._theirs[key[0]]
            and (state := self._servers.state(key)) is not None
            and state.admin == MAINT
        )

    def forget_those_out(self) -> None:
        """What left its service and is out is of no interest any more."""
        self._gone = {key for key in self._gone if not self._is_out(key)}
        for key, verdict in list(self._verdicts.items()):
            if self.catalog.entries[key].condition is Condition.STATIC:
                # It serves again when no container does.
                continue
            if self._is_out(key) and verdict.wanted is Wanted.LEAVE:
                self.catalog.forget(key)
                self._others[key[0]].discard(key)
                del self._verdicts[key]

    def _is_out(self, key: Key) -> bool:
        state = self._servers.state(key)
        return state is None or (state.admin == MAINT and not self._servers.deletes)

    @property
    def waiting(self) -> set[str]:
        """Sections with servers that serve only until a better one is usable."""
        return {key[0] for key, verdict in self._verdicts.items() if verdict.waits}

    @property
    def could_serve(self) -> set[str]:
        """Sections with servers that get no new requests, and would if no other were usable."""
        return {
            key[0]
            for key, verdict in self._verdicts.items()
            if verdict.wanted is Wanted.DRAIN and verdict.standing is not Standing.DRAINED
        }

    @property
    def next(self) -> float | None:
        """When something has to be decided anew because time has passed, by the monotonic clock."""
        return min((one.until for one in self._verdicts.values() if one.until is not None), default=None)

    def due(self, now: float) -> list[Key]:
        """The servers that have to be decided anew now."""
        return [key for key, one in self._verdicts.items() if one.until is not None and one.until <= now]

    def sections_that_may_change(self) -> list[str]:
        """Those with waiting servers where another one may be usable by now."""
        usable = self._servers.usable()
        return [section for section in self.waiting if usable.get(section, 0) > 0]

    def sections_without_usable(self) -> list[str]:
        """Those without a usable server, but with one that could serve."""
        usable = self._servers.usable()
        return [section for section in self.could_serve if not usable.get(section)]

    def wanted_count(self) -> int:
        """How many servers are to serve."""
        counted = Counter(verdict.wanted for verdict in self._verdicts.values())
        return len(self.catalog.entries) - sum(map(len, self._others.values())) + counted[Wanted.SERVE]

    # How

    def _about(self, key: Key, best: Standing | None = None) -> Facts | None:
        entry = self.catalog.entries.get(key)
        if entry is None:
            return None
        now = self._clock()
        return Facts(
            entry,
            stopping_of(self._stopping.stops, entry.endpoint, now),
            self._drains.drains.covering(entry.endpoint),
            self._servers.state(key),
            self._servers.state(key) is not None,
            self._settings.haproxy.drain_timeout,
            now,
            ServiceFacts(self._healthy(key[0]), best),
        )

    def _classify(self, key: Key) -> None:
        about = self._about(key)
        others = self._others[key[0]]
        if about is None or about.entry is None or is_plain(about.entry, about.stopping, about.drain):
            others.discard(key)
            self._verdicts.pop(key, None)
        else:
            others.add(key)

    def _healthy(self, section: str) -> int:
        return len(self.catalog.of_section(section)) - len(self._others[section])

    def _settle(self, keys: Iterable[Key], cause: Cause, *, dead: bool = False) -> None:
        """Make servers as is wanted of them: those that begin to serve come first."""
        if not self._servers.worker:
            return
        best: dict[str, Standing | None] = {}
        for key in sorted(keys, key=lambda key: (key in self._others[key[0]] or key not in self.catalog.entries, key)):
            with self._one_at_a_time():
                self._settle_one(key, cause, best, dead)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """A server that HAProxy refuses holds up none of the others."""
        try:
            yield
        except RuntimeApiSilent:
            raise
        except RuntimeApiError as error:
            self._failed(error)

    def _settle_one(self, key: Key, cause: Cause, best: dict[str, Standing | None], dead: bool) -> None:
        entry = self.catalog.entries.get(key)
        if entry is None:
            self._gone.add(key)
            self._servers.change(key, "remove" if dead else "leave", cause)
            return
        self._gone.discard(key)
        if entry.remembered or (entry.condition is Condition.STATIC and self.unheard):
            # What its source says, or those that it stands in for, has not been heard yet.
            return
        verdict = self._decide(key, best)
        if key in self._others[key[0]]:
            before = self._verdicts.get(key)
            self._verdicts[key] = verdict
            if before is not None and before.wanted is not verdict.wanted:
                cause = self._of_its_own(before, verdict, cause)
        if verdict.wanted is not Wanted.SERVE:
            self._servers.change(key, verdict.wanted.value, cause)
        elif not self._servers.serves(key, entry.endpoint.host, entry.endpoint.port):
            for server in servers_of(self._settings, entry.service, [entry.endpoint]):
                self._servers.serve(server, cause)

    def _decide(self, key: Key, best: dict[str, Standing | None]) -> Verdict:
        section = key[0]
        if key in self._others[section] and section not in best:
            best[section] = self._best(section)
        about = self._about(key, best.get(section))
        assert about is not None
        return decide(about)

    @staticmethod
    def _of_its_own(before: Verdict, verdict: Verdict, cause: Cause) -> Cause:
        """Why the decision changed where nothing happened to the server itself."""
        if before.standing is not verdict.standing:
            return cause
        if verdict.wanted is Wanted.SERVE:
            return Cause("no other server is usable")
        return Cause("another server is usable") if before.wanted is Wanted.SERVE else cause

    def _none_is_usable(self, section: str) -> bool:
        return not self._servers.usable().get(section)

    def _best(self, section: str) -> Standing | None:
        """The best standing of the usable servers of a section, asked as cheaply as it can be told."""
        usable = self._servers.usable().get(section, 0)
        if not usable:
            # What gets no requests may pass its check all the same: the decision asks for that.
            self._servers.states(section, set(self._others[section]))
            return None
        healthy = self._healthy(section)
        standings = {
            key: standing
            for key in self._others[section]
            # Of thousands that stop at once, most are drained already: what costs more is asked of the rest.
            if self._told(key) == READY and (standing := self._standing(key, healthy)) > Standing.HEALTHY
        }
        if usable > len(standings):
            return Standing.HEALTHY
        states = self._servers.states(section, standings.keys())
        usable_ones = [state for state in states if state.usable]
        if usable > len(usable_ones):
            return Standing.HEALTHY
        return best_of((standings[state.key], state) for state in usable_ones)

    def _standing(self, key: Key, healthy: int) -> Standing:
        about = self._about(key)
        assert about is not None
        return standing_of(about.entry, about.stopping, about.drain, healthy)

    def _told(self, key: Key) -> str:
        state = self._servers.state(key)
        return state.admin if state else ""
