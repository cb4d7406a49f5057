"""HAProxy's servers as the watcher knows them: they are changed without asking for all of them each time."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from ..errors import RuntimeApiError, RuntimeApiSilent
from ..haproxy.commands import DRAINED, REMOVED, Change, add, delete, ready, remove, step
from ..haproxy.runtime import DRAIN, MAINT, NO_SUCH_SERVER, READY, THERE_ALREADY, Running, Runtime, ServerState
from ..haproxy.servers import Key, Server

STAYS_DOWN = 10
"""Seconds after which a server that is down is checked as its options say, and no more as a new one."""

FIRST_CHECKS = 5
"""Checks of new servers in a millisecond, all together: more of them at once are checked less often each."""

IN_A_MILLISECOND = 1000
"""Servers that HAProxy may have to tell of between two commands, in a millisecond. A first check that falls due before
it has read that there are checks is put off for a whole interval."""

LOOKING = 100
"""How much longer than a look at all servers of a section took, it is not looked again."""


@dataclass(frozen=True)
class Cause:
    """Why a server is changed.

    Attributes:
        what: an event, or what else led to it; empty where the decision's own reason says it all.
        heard: when the event was heard, by the monotonic clock.
    """

    what: str
    heard: float | None = None


Done = Callable[[Change, Cause], None]
"""Is told of each change that was made, and why."""


class HAProxyServers:
    """The runtime socket, and what is known of the servers behind it.

    Args:
        runtime: the socket.
        first_check: milliseconds between the checks of a server that is new.
        drain_timeout: seconds that a server that is not wanted any more may finish its requests in.
        done: is told of each change that was made.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        runtime: Runtime,
        first_check: int,
        drain_timeout: float,
        done: Done,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._first_check = first_check
        self._drain_timeout = drain_timeout
        self._done = done
        self._servers: dict[Key, ServerState] = {}
        self._new: dict[Key, Server] = {}
        self._quick: set[Key] = set()
        self._added: deque[float] = deque()
        self._look_again = 0.0
        self._short = False
        self.worker = ""
        self.deletes = False

    def learn(self) -> Running:
        """Ask for everything; raises RuntimeApiError."""
        running = self._runtime.running()
        if running.worker != self.worker:
            self._new.clear()
            self._quick.clear()
        self.worker, self.deletes = running.worker, running.deletes
        self._servers = dict(running.servers)
        return running

    def restarted(self) -> bool:
        """Whether another worker answers than the one that is known; raises RuntimeApiError."""
        return self._runtime.info().get("Pid") != self.worker

    def state(self, key: Key) -> ServerState | None:
        """What is known of a server; its figures may be old. None if HAProxy has none of that name."""
        return self._servers.get(key)

    def states(self, section: str, keys: Collection[Key]) -> list[ServerState]:
        """Ask for some servers of a section; raises RuntimeApiError."""
        states = self._runtime.servers(section, keys)
        self._servers.update((state.key, state) for state in states)
        return states

    def usable(self) -> Mapping[str, int]:
        """How many servers of each section get new traffic; as quick for ten thousand as for two."""
        return self._runtime.usable_by_section()

    def serves(self, key: Key, host: str, port: int) -> bool:
        """Whether a server is told to serve already, at this address."""
        state = self._servers.get(key)
        return state is not None and state.admin == READY and (state.host, state.port) == (host, port)

    def serve(self, server: Server, cause: Cause) -> None:
        """The server gets traffic as soon as its check passes; raises RuntimeApiError."""
        state = self._servers.get(server.key)
        if state is None:
            self._add(server, cause)
        elif change := ready(server, state):
            if state.admin == MAINT and self.deletes and self._deleted(state.key, cause):
                self.serve(server, cause)
                return
            self._carry_out(change, cause)
            self._servers[server.key] = replace(state, host=server.host, port=server.port, admin=READY)
            if server.key in self._quick:
                # It is checked as a new one still.
                self._new[server.key] = server

    def _add(self, server: Server, cause: Cause) -> None:
        try:
            self._carry_out(add(server, self._first_check_of_one_more()), cause)
        except RuntimeApiSilent:
            raise
        except RuntimeApiError as error:
            there = self._runtime.servers(server.section, {server.key})
            if not there:
                raise
            self._servers[server.key] = there[0]
            if THERE_ALREADY not in str(error):
                # It is there, and HAProxy refused what follows: it may be unchecked, so it must not serve.
                self.change(server.key, "remove", cause)
                raise
            # A sync was quicker.
            self.serve(server, cause)
            return
        self._new[server.key] = server
        self._quick.add(server.key)
        self._servers[server.key] = ServerState(
            server.section, server.name, server.host, server.port, READY, "DOWN", False, 0, 0, 0, 0
        )

    def _first_check_of_one_more(self) -> int:
        now = self._clock()
        while self._added and self._added[0] < now - STAYS_DOWN:
            self._added.popleft()
        self._added.append(now)
        return max(self._first_check, len(self._added) // FIRST_CHECKS, len(self._servers) // IN_A_MILLISECOND)

    def change(self, key: Key, wanted: str, cause: Cause) -> None:
        """The next change of a server that is to ``drain``, ``leave`` or ``remove``; raises RuntimeApiError."""
        state = self._servers.get(key)
        change = step(wanted, None, state, self._drain_timeout)
        if state is None or change is None:
            return
        self._carry_out(change, cause)
        self._servers[key] = replace(state, admin=DRAIN if change.kind == DRAINED else MAINT)
        if change.kind == REMOVED:
            self._new.pop(key, None)

    def sweep(self, leaves: Callable[[Key], bool], cause: Cause) -> bool:
        """Take drained servers out when their requests are over, and delete those that are out.

        Args:
            leaves: whether a server is on its way out.
            cause: why.

        Returns:
            Whether some are left that have requests under way.
        """

        def left(admin: str) -> list[Key]:
            return [key for key, state in self._servers.items() if state.admin == admin and leaves(key)]

        drained = left(DRAIN)
        for section in {section for section, _ in drained}:
            self.states(section, set(drained))
        for key in drained:
            self.change(key, "leave", cause)
        out = left(MAINT) if self.deletes else []
        # Whether something holds it still, HAProxy need not be asked: it says so.
        held = [key for key in out if not self._deleted(key, cause)]
        return bool(held or left(DRAIN))

    def slow_down(self, cause: Cause) -> int:
        """Check those that stay down as their options say; returns for how many that was not possible."""
        if not self._some_new_ones_stay_down():
            return 0
        began = self._clock()
        states = {
            state.key: state
            for section in {key[0] for key in self._new}
            for state in self._runtime.servers(section, self._new)
        }
        self._new = {key: server for key, server in self._new.items() if key in states}
        stuck = 0
        for key, server in list(self._new.items()):
            if (
                not states[key].status.startswith("DOWN")
                or states[key].since < STAYS_DOWN
                or states[key].admin != READY
            ):
                continue
            if not self.deletes:
                stuck += 1
                continue
            self._carry_out(remove(key), cause)
            self._servers[key] = replace(states[key], admin=MAINT)
            again = add(server) if self._deleted(key, cause) else ready(server, self._servers[key])
            if again:
                self._carry_out(again, cause)
                self._servers[key] = states[key]
        self._look_again = self._clock() + LOOKING * (self._clock() - began)
        return stuck

    def _some_new_ones_stay_down(self) -> bool:
        """Whether it may be so for the second time, which costs little to find out; and no look has just taken long."""
        if not self._new or self._clock() < self._look_again:
            return False
        told = Counter(section for (section, _), state in self._servers.items() if state.admin == READY)
        usable = self._runtime.usable_by_section()
        before = self._short
        self._short = any(usable.get(section, 0) < told[section] for section in {section for section, _ in self._new})
        return before and self._short

    def _deleted(self, key: Key, cause: Cause) -> bool:
        try:
            self._carry_out(delete(key), cause)
        except RuntimeApiSilent:
            raise
        except RuntimeApiError as error:
            # Somebody still holds it, unless a sync was quicker.
            if NO_SUCH_SERVER not in str(error):
                return False
        del self._servers[key]
        self._new.pop(key, None)
        self._quick.discard(key)
        return True

    def _carry_out(self, change: Change, cause: Cause) -> None:
        self._runtime.change(change.commands)
        self._done(change, cause)
