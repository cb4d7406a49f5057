"""A reconciler, and everything that it goes by: HAProxy is scripted, and time is set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dockmaster.catalog import Catalog
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.errors import RuntimeApiError, RuntimeApiSilent
from dockmaster.haproxy.commands import Change, changes
from dockmaster.haproxy.runtime import Runtime
from dockmaster.haproxy.servers import Key, by_key, by_service, is_checked, key_of
from dockmaster.model.endpoint import Endpoint
from dockmaster.snapshot import Found, Snapshot
from dockmaster.sources.protocol import Answer
from dockmaster.state.drains import Drain, Drains, DrainsFile
from dockmaster.state.last_known import LastKnown
from dockmaster.state.stopping import StoppingContainers
from dockmaster.watch.reconcile import Reconciler
from dockmaster.watch.servers import Cause, HAProxyServers
from scripted_haproxy import HELP_3_0, ScriptedHAProxy

CAUSE = Cause("test")
GRACE = 30.0
SPARE = {"name": "spare", "host": "127.0.0.1", "port": 9}
NOWHERE = Path("/nonexistent")
KEEPS_DEAD = HELP_3_0.replace("  wait ", "  _ ")
"""What a HAProxy says that cannot delete servers safely."""


def settings_of(**more: object) -> Settings:
    hosts = [{"name": "app1", "host": "127.0.0.1"}]
    discovery = {"image_name": "local/web", "container_port": 8000, "servers": hosts}
    return parse({"services": {"web": {"haproxy": {"port": 80}, **more, "discovery": discovery}}}, "test")


def endpoint(number: int, *, paused: bool = False) -> Endpoint:
    return Endpoint("app1", f"{number:012x}" * 5, "127.0.0.1", 20000 + number, f"web-{number}", paused=paused)


class Scripted(ScriptedHAProxy):
    """One whose drained servers are checked, and that changes only servers that it has, as a real one."""

    def _stat(self, key: Key) -> str:
        text = super()._stat(key)
        return text.replace(",MAINT,", ",DRAIN,") if self.servers[key] == "drain" else text

    def _change(self, command: str) -> str:
        words = command.split()
        there = words[0] == "add" or tuple(words[2].split("/")) in self.servers
        return super()._change(command) if there else "No such server.\n\n"


class Socket(Runtime):
    """A runtime socket without a socket, which counts what is asked."""

    def __init__(self, haproxy: ScriptedHAProxy) -> None:
        super().__init__("scripted")
        self._haproxy = haproxy
        self.asked: list[str] = []

    def command(self, line: str) -> str:
        self.asked.append(line)
        if self._haproxy.hang:
            raise RuntimeApiSilent("scripted: no answer")
        return "".join(self._haproxy.answer(one.strip()) for one in line.split(";"))


class World:
    """A reconciler, and everything that it goes by."""

    def __init__(self, settings: Settings | None = None, known: LastKnown | None = None) -> None:
        self.settings = settings or settings_of()
        self.now = 1000.0
        self.haproxy = Scripted(NOWHERE)
        self.socket = Socket(self.haproxy)
        self.changes: list[Change] = []
        self.errors: list[str] = []
        self.states: dict[int, str] = {}
        self.stopping = StoppingContainers(NOWHERE, GRACE, self.now)
        self.drains = DrainsFile(NOWHERE / "drained.json")
        timeout = self.settings.haproxy.drain_timeout
        self.servers = HAProxyServers(self.socket, 5, timeout, self._done, self._clock)
        self.reconciler = Reconciler(
            self.settings,
            Catalog(self.settings, known or LastKnown(), self.now),
            self.servers,
            self.stopping,
            self.drains,
            self._failed,
            self._clock,
        )
        self.reconciler.everything(CAUSE)

    def _clock(self) -> float:
        return self.now

    def _done(self, change: Change, cause: Cause) -> None:  # noqa: ARG002
        self.changes.append(change)

    def _failed(self, error: RuntimeApiError) -> None:
        self.errors.append(str(error))

    def key(self, number: int) -> Key:
        return key_of(self.settings.services[0], endpoint(number))

    def is_(self, what: str, *numbers: int) -> None:
        """These containers are healthy, unhealthy, paused, other (of no service) or gone from now on."""
        self.states.update(dict.fromkeys(numbers, what))
        some = {
            how: [endpoint(number, paused=how == "paused") for number, one in self.states.items() if one == how]
            for how in ("healthy", "unhealthy", "paused", "other")
        }
        ids = frozenset(one.container_id for listed in some.values() for one in listed)
        answer = Answer({"web": some["healthy"]}, {"web": [*some["unhealthy"], *some["paused"]]}, running=ids)
        self.reconciler.unheard.discard("app1")
        self.changed(self.reconciler.catalog.listed("app1", answer, self.now).values())

    def lists_default_servers(self) -> None:
        """The source of default servers says which there are."""
        answer = Answer({"web": self.settings.services[0].default_servers})
        self.changed(self.reconciler.catalog.listed("static", answer, self.now).values())

    def changed(self, keys: Iterable[Iterable[Key]]) -> None:
        self.reconciler.changed([key for some in keys for key in some], CAUSE)

    def stops(self, number: int) -> None:
        """A container is sent a signal that stops it."""
        one = endpoint(number)
        container = (one.docker_host, one.container_id)
        self.stopping.begin(container, self.now, [one.port])
        self.reconciler.changed(self.reconciler.catalog.keys(container), CAUSE)

    def drained(self, *numbers: int) -> None:
        """The operator has drained these, and no others."""
        self.drains.drains = Drains(Drain("app1", f"web-{number}") for number in numbers)
        self.reconciler.everything(Cause("operator"))

    def fails(self, *numbers: int) -> None:
        """HAProxy's checks of these fail, and of no others; those that it does not check are up."""
        if is_checked(self.settings, self.settings.services[0]):
            self.haproxy.down = {self.key(number) for number in numbers}

    def rest(self) -> None:
        """What is done again and again, as long as it does something."""
        before = -1
        while before < len(self.changes):
            before = len(self.changes)
            for section in self.reconciler.sections_that_may_change():
                self.reconciler.look_again(section, CAUSE)
            for section in self.reconciler.sections_without_usable():
                self.reconciler.look_again(section, CAUSE)
            self.reconciler.changed(self.reconciler.due(self.now), CAUSE)
            self.servers.sweep(self.reconciler.leaves, CAUSE)
            self.reconciler.forget_those_out()

    def what_a_sync_would_do(self) -> list[Change]:
        """What one would change that knows the same."""
        running, catalog = self.socket.running(), self.reconciler.catalog
        found, stops, drains = Found({}), self.stopping.stops, self.drains.drains
        snapshot = Snapshot(self.settings, LastKnown(), found, catalog, stops, drains, running, self.now)
        wanted = {key: one.verdict.wanted.value for key, one in snapshot.decided.items()}
        servers = by_key(by_service(self.settings, snapshot.serving))
        return list(changes(wanted, servers, running, self.settings.haproxy.drain_timeout))

    def told(self) -> dict[str, str]:
        """What HAProxy was told of each server, by the container's number or the server's name."""
        numbers = {self.key(number): str(number) for number in range(1, 300)}
        return {numbers.get(key, key[1]): told for key, told in self.haproxy.servers.items()}
