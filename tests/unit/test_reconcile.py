"""What is wanted held against what is: by state alone, whatever led to it. HAProxy is scripted, and time is set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import permutations
from pathlib import Path

import pytest
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
from hypothesis import assume, given
from hypothesis import strategies as st
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
        self.reconciler.drains_changed()

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


@pytest.fixture
def world() -> World:
    """Three containers that serve."""
    made = World()
    made.is_("healthy", 1, 2, 3)
    assert made.told() == {"1": "ready", "2": "ready", "3": "ready"}
    return made


# The order in which things happen

HAPPENS: dict[str, Callable[[World], None]] = {
    "1 is unhealthy": lambda world: world.is_("unhealthy", 1),
    "2 stops": lambda world: world.stops(2),
    "3 is gone": lambda world: world.is_("gone", 3),
    "4 starts": lambda world: world.is_("healthy", 4),
    "5 is drained": lambda world: world.drained(5),
}


@pytest.mark.parametrize("happens", [("1 is unhealthy", "2 stops", "3 is gone"), tuple(HAPPENS)], ids=["few", "all"])
def test_in_whatever_order_things_happen_the_end_is_the_same(happens: tuple[str, ...]) -> None:
    ends = []
    for order in permutations(happens):
        world = World()
        world.is_("healthy", 1, 2, 3, 5) if len(happens) > 3 else world.is_("healthy", 1, 2, 3)
        for what in order:
            HAPPENS[what](world)
        world.rest()
        ends.append(world.told())
    few = {"1": "ready", "2": "drain"}
    assert ends[0] == (few if len(happens) == 3 else {"1": "drain", "2": "drain", "4": "ready", "5": "drain"})
    assert all(end == ends[0] for end in ends)


steps = st.tuples(
    st.sampled_from(["healthy", "unhealthy", "paused", "other", "gone", "stops", "drained", "fails", "rest"]),
    st.integers(1, 3),
)


SERVICES = {
    "plain": settings_of(),
    "default servers": settings_of(default_servers=[SPARE]),
    "default servers beside the others": settings_of(default_servers=[SPARE], keep_default_servers=True),
    "the last ones are kept": settings_of(use_previous_backends=True),
    "not checked": settings_of(haproxy={"port": 80, "server_options": ""}),
}


@pytest.mark.parametrize("settings", SERVICES.values(), ids=SERVICES)
@given(happened=st.lists(steps, max_size=10))
def test_after_whatever_has_happened_neither_a_full_look_nor_a_sync_has_more_to_do(
    settings: Settings, happened: list[tuple[str, int]]
) -> None:
    world = World(settings)
    world.lists_default_servers()
    world.is_("healthy", 1, 2)
    for what, number in happened:
        world.now += 1
        if what in ("stops", "drained", "fails"):
            getattr(world, what)(number)
        elif what == "rest":
            world.rest()
        else:
            world.is_(what, number)
    # Whether one that left is down, which gets no requests then, only a look at everything finds.
    assume(
        not any(what == "other" and world.key(number) in world.haproxy.down for number, what in world.states.items())
    )
    world.rest()
    told, done = world.told(), len(world.changes)
    world.reconciler.everything(CAUSE)
    world.rest()
    assert (world.told(), world.changes[done:]) == (told, [])
    assert not world.errors
    assert world.what_a_sync_would_do() == []


# What one thing costs


def test_what_one_event_costs_does_not_grow_with_the_number_of_servers() -> None:
    asked = []
    for number in (10, 200):
        world = World()
        world.is_("healthy", *range(1, number))
        before = len(world.socket.asked)
        world.stops(1)
        world.is_("unhealthy", 2)
        world.is_("gone", 3)
        world.is_("healthy", 250)
        asked.append([line.split()[:2] for line in world.socket.asked[before:]])
        assert len(asked[-1]) < 20
    assert asked[0] == asked[1]


def test_servers_that_begin_to_serve_come_before_those_that_end(world: World) -> None:
    world.changes.clear()
    world.states.update({1: "gone", 2: "unhealthy", 4: "healthy"})
    world.is_("healthy", 5)
    assert [change.kind for change in world.changes][:2] == ["added", "added"]
    assert {change.kind for change in world.changes[2:]} == {"removed", "drained"}


# What goes wrong


def test_a_server_that_haproxy_refuses_holds_up_none_of_the_others(world: World) -> None:
    world.haproxy.answers[f"add server {'/'.join(world.key(4))}"] = "Out of memory.\n"
    world.states.update({1: "gone"})
    world.is_("healthy", 4, 5)
    assert "Out of memory" in world.errors[0]
    assert world.told() == {"1": "maint", "2": "ready", "3": "ready", "5": "ready"}
    world.haproxy.answers.clear()
    world.reconciler.everything(CAUSE)
    assert world.told()["4"] == "ready"


def test_one_that_does_not_answer_is_the_callers_and_everything_is_made_good_later(world: World) -> None:
    world.haproxy.hang = True
    with pytest.raises(RuntimeApiSilent):
        world.is_("gone", 1)
    with pytest.raises(RuntimeApiSilent):
        world.reconciler.everything(CAUSE)
    world.haproxy.hang = False
    world.reconciler.everything(CAUSE)
    world.rest()
    # Its source does not list it, so it is one that nobody knows: no requests are cut.
    assert world.told() == {"2": "ready", "3": "ready"}


# What is not known yet


def test_nothing_is_done_to_what_only_the_file_knows_until_its_source_is_heard() -> None:
    world = World(known=LastKnown({"web": [endpoint(1), endpoint(2)]}))
    world.reconciler.everything(CAUSE)
    assert not world.changes
    world.is_("healthy", 1)
    world.rest()
    assert world.told() == {"1": "ready"}


def test_default_servers_wait_until_every_source_is_heard() -> None:
    world = World(SERVICES["default servers"])
    world.lists_default_servers()
    assert not world.changes
    world.is_("gone", 1)
    world.reconciler.everything(CAUSE)
    assert world.told() == {"spare": "ready"}
    world.is_("healthy", 1)
    world.rest()
    assert world.told() == {"1": "ready"}


def runs_unknown(world: World, number: int) -> None:
    """HAProxy has a server of ours that no source knows."""
    world.haproxy.servers[world.key(number)] = "ready"
    world.haproxy.ports[world.key(number)] = 20000 + number


def test_a_server_that_nobody_knows_leaves_once_every_source_is_heard() -> None:
    world = World()
    runs_unknown(world, 1)
    world.reconciler.everything(CAUSE)
    world.rest()
    assert world.told() == {"1": "ready"}
    world.is_("healthy", 2)
    world.reconciler.everything(CAUSE)
    world.rest()
    assert world.told() == {"2": "ready"}


def test_a_server_stays_whose_container_nobody_can_tell_the_image_of(world: World) -> None:
    runs_unknown(world, 9)
    world.reconciler.unclear["app1"] = frozenset([endpoint(9).container_id])
    world.reconciler.everything(CAUSE)
    world.rest()
    assert world.told()["9"] == "ready"
    world.reconciler.unclear["app1"] = frozenset()
    world.reconciler.everything(CAUSE)
    world.rest()
    assert "9" not in world.told()


# What waits


def test_servers_wait_for_better_ones_and_those_that_could_serve_are_known(world: World) -> None:
    world.is_("gone", 3)
    world.is_("unhealthy", 1)
    world.stops(2)
    world.rest()
    assert world.told() == {"1": "ready", "2": "drain"}
    assert world.reconciler.waiting == {"web"}
    assert world.reconciler.could_serve == {"web"}
    assert world.reconciler.wanted_count() == 1
    world.fails(1)
    assert world.reconciler.sections_without_usable() == ["web"]
    world.rest()
    assert world.told() == {"1": "ready", "2": "ready"}
    world.fails()
    world.rest()
    assert world.told() == {"1": "ready", "2": "drain"}
    world.is_("healthy", 4)
    world.rest()
    assert (world.reconciler.waiting, world.told()) == (set(), {"1": "drain", "2": "drain", "4": "ready"})


def test_what_the_operator_drained_could_not_serve_and_waits_for_nothing(world: World) -> None:
    world.drained(1, 2, 3)
    assert set(world.told().values()) == {"drain"}
    assert (world.reconciler.waiting, world.reconciler.could_serve) == (set(), set())
    assert (world.reconciler.sections_without_usable(), world.reconciler.next) == ([], None)
    world.drained(1)
    assert world.told() == {"1": "drain", "2": "ready", "3": "ready"}


def test_what_left_is_decided_anew_when_its_time_is_over(world: World) -> None:
    timeout = world.settings.haproxy.drain_timeout
    world.is_("other", 1, 2, 3)
    assert world.reconciler.next == world.now + timeout
    world.now += timeout - 1
    assert world.reconciler.due(world.now) == []
    world.rest()
    assert set(world.told().values()) == {"ready"}
    world.now += 1
    assert sorted(world.reconciler.due(world.now)) == [world.key(number) for number in (1, 2, 3)]
    world.rest()
    assert world.told() == {}
    assert world.reconciler.next is None


def test_a_stop_is_decided_anew_when_its_grace_is_over(world: World) -> None:
    world.stops(1)
    assert (world.told()["1"], world.reconciler.next) == ("drain", world.now + GRACE)
    world.now += GRACE
    world.rest()
    assert world.told()["1"] == "ready"
    assert world.reconciler.next is None


@pytest.mark.parametrize("deletes", [True, False])
def test_what_has_left_and_is_out_is_forgotten(world: World, deletes: bool) -> None:
    world.haproxy.help = HELP_3_0 if deletes else KEEPS_DEAD
    world.reconciler.everything(CAUSE)
    world.is_("other", 1)
    assert world.reconciler.leaves(world.key(1))
    world.haproxy.sessions = 1
    world.rest()
    # Its requests finish first.
    assert world.told()["1"] == "drain"
    assert world.key(1) in world.reconciler.catalog.entries
    world.haproxy.sessions = 0
    world.rest()
    assert world.told() == {"2": "ready", "3": "ready"} | ({} if deletes else {"1": "maint"})
    assert world.key(1) not in world.reconciler.catalog.entries
    world.is_("healthy", 1)
    assert world.told()["1"] == "ready"
