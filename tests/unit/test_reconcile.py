"""What is wanted held against what is: by state alone, whatever led to it. HAProxy is scripted, and time is set."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
from dockmaster.config.settings import Settings
from dockmaster.errors import RuntimeApiSilent
from dockmaster.state.last_known import LastKnown
from hypothesis import assume, given
from hypothesis import strategies as st
from reconciling import CAUSE, GRACE, KEEPS_DEAD, SPARE, World, endpoint, settings_of
from scripted_haproxy import HELP_3_0


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
