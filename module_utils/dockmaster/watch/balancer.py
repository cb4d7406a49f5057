"""HAProxy as the watcher sees it: what its servers are told, without asking for all of them at each change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..errors import RuntimeApiError, RuntimeApiSilent
from ..haproxy.changes import DRAINED, Change, add, delete, drain, leave, ready, remove
from ..haproxy.runtime import DRAIN, MAINT, READY, Running, Runtime, ServerState
from ..haproxy.servers import Key, Server

STAYS_DOWN = 10
"""Seconds after which a server that is down is checked as its options say, and no more as a new one."""

Done = Callable[[Change], None]
"""Is told of each change that was made."""


class Balancer:
    """The runtime socket, and what is known of the servers behind it.

    Args:
        runtime: the socket.
        first_check: milliseconds between the checks of a server that is new.
        drain_timeout: seconds that a server that is not wanted any more may finish its requests in.
        done: is told of each change that was made.
    """

    def __init__(self, runtime: Runtime, first_check: int, drain_timeout: float, done: Done) -> None:
        self._runtime = runtime
        self._first_check = first_check
        self._drain_timeout = drain_timeout
        self._done = done
        self._servers: dict[Key, ServerState] = {}
        self._new: dict[Key, Server] = {}
        self.worker = ""
        self.deletes = False

    def learn(self) -> Running:
        """Ask for everything; raises RuntimeApiError."""
        running = self._runtime.running()
        if running.worker != self.worker:
            self._new.clear()
        self.worker, self.deletes = running.worker, running.deletes
        self._servers = dict(running.servers)
        return running

    def restarted(self) -> bool:
        """Whether another worker answers than the one that is known; raises RuntimeApiError."""
        return self._runtime.info().get("Pid") != self.worker

    def serve(self, server: Server) -> None:
        """The server gets traffic as soon as its check passes; raises RuntimeApiError."""
        state = self._servers.get(server.key)
        if state is None:
            self._add(server)
        elif change := ready(server, state):
            if state.admin == MAINT and self.deletes and self._deleted(state.key):
                self.serve(server)
                return
            self._carry_out(change)
            self._servers[server.key] = replace(state, host=server.host, port=server.port, admin=READY)

    def _add(self, server: Server) -> None:
        try:
            self._carry_out(add(server, self._first_check))
        except RuntimeApiSilent:
            raise
        except RuntimeApiError:
            # A pass may have been quicker.
            there = [state for state in self._runtime.servers(server.section) if state.key == server.key]
            if not there:
                raise
            self._servers[server.key] = there[0]
            self.serve(server)
            return
        self._new[server.key] = server
        self._servers[server.key] = ServerState(
            server.section, server.name, server.host, server.port, READY, "DOWN", False, 0, 0, 0, 0
        )

    def rest(self, key: Key) -> bool:
        """No new traffic for a server in doubt, unless it is the last usable one; returns whether it is so now."""
        state = self._servers.get(key)
        if state is None or state.admin != READY:
            return True
        if not self.can_spare_one(key[0]):
            return False
        self._carry_out(drain(key))
        self._servers[key] = replace(state, admin=DRAIN)
        return True

    def can_spare_one(self, section: str) -> bool:
        """Whether a section has two usable servers: then none is the last, whether it is one of them or not."""
        return self._runtime.usable_servers(section) > 1

    def out(self, key: Key) -> None:
        """A server whose container runs no more."""
        state = self._servers.get(key)
        if state is None or state.admin == MAINT:
            return
        self._carry_out(remove(key))
        self._servers[key] = replace(state, admin=MAINT)
        self._new.pop(key, None)

    def let_go(self, keys: Iterable[Key]) -> None:
        """The next step out for servers that nobody wants any more and that may have requests under way."""
        for key in keys:
            state = self._servers.get(key)
            if state and (change := leave(state, drain_timeout=self._drain_timeout)):
                self._carry_out(change)
                self._servers[key] = replace(state, admin=DRAIN if change.kind == DRAINED else MAINT)

    def sweep(self, unwanted: Callable[[Key], bool]) -> bool:
        """Take drained servers out when their requests are over, and delete those that are out.

        Args:
            unwanted: whether nobody wants a server any more.

        Returns:
            Whether some are left that have requests under way.
        """

        def left() -> list[ServerState]:
            return [
                state
                for key, state in self._servers.items()
                if unwanted(key) and (state.admin == DRAIN or (state.admin == MAINT and self.deletes))
            ]

        for section in {state.proxy for state in left()}:
            for state in self._runtime.servers(section):
                if state.key in self._servers and unwanted(state.key):
                    self._servers[state.key] = state
        self.let_go([state.key for state in left()])
        for state in left():
            if state.admin == MAINT and state.sessions == 0:
                self._deleted(state.key)
        return bool(left())

    def slow_down(self) -> int:
        """Check those as their options say that stay down; returns how many that was not possible for."""
        if not self._new:
            return 0
        states = {
            state.key: state for section in {key[0] for key in self._new} for state in self._runtime.servers(section)
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
            self._carry_out(remove(key))
            self._servers[key] = replace(states[key], admin=MAINT)
            again = add(server) if self._deleted(key) else ready(server, self._servers[key])
            if again:
                self._carry_out(again)
                self._servers[key] = states[key]
        return stuck

    def _deleted(self, key: Key) -> bool:
        try:
            self._carry_out(delete(key))
        except RuntimeApiSilent:
            raise
        except RuntimeApiError:
            # Somebody still holds it.
            return False
        del self._servers[key]
        self._new.pop(key, None)
        return True

    def _carry_out(self, change: Change) -> None:
        self._runtime.change(change.commands)
        self._done(change)
