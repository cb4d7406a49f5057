"""Syncs and the watcher decide alike: after one has acted, the other has nothing to do. HAProxy is real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from dockmaster import drain
from dockmaster.drain import Target
from dockmaster.lock import folder_locked
from dockmaster.snapshot import Snapshot
from dockmaster.state import stopping
from dockmaster.traffic import Standing, Wanted
from waiting import until
from watching import Start, Watched, container_id

WEBS = (1, 2)
FRONT = {"Networks": {"front": {"IPAddress": "172.18.0.2"}}}
OUT = ("", "maint")
"""What HAProxy was told of a server that is out, or that it has not."""


@pytest.fixture
def around(around: Watched, free_port: Callable[[], int]) -> Watched:
    """Everything around a watcher, with a second service whose containers only mark what the watcher has taken."""
    discovery = around.service["discovery"]
    discovery["container_name"] = "web-*"
    discovery["network"] = "front"
    marker = {"container_port": 8000, "servers": discovery["servers"], "container_name": "marker"}
    proxy = {"port": free_port(), "listen": ["mode http"], "server_options": "check inter 100ms"}
    around.plain["services"]["marker"] = {"discovery": marker, "haproxy": proxy}
    around.write()
    return around


def listed(around: Watched, number: int) -> dict[str, Any]:
    """A container as the list shows it."""
    one: dict[str, Any] = next(one for one in around.api.containers if one["Id"] == container_id(number))
    return one


@contextmanager
def taken(around: Watched, markers: Iterator[int]) -> Iterator[None]:
    """What happens inside is heard and acted on by the watcher."""
    yield
    marker = next(markers)
    around.run(marker)
    listed(around, marker)["Names"] = ["/marker"]
    around.event(marker, "start")
    until(lambda: around.servers(marker))
    with folder_locked(around.settings.haproxy.run_directory, 10):
        """It has done all that it does in one go."""


@pytest.fixture
def markers() -> Iterator[int]:
    """Numbers of containers that mark what the watcher has taken."""
    return count(200)


def both_serve(around: Watched, start_haproxy: Start) -> None:
    """The containers 1 and 2 get traffic, by a sync; nobody watches yet."""
    for number in WEBS:
        around.run(number)
        listed(around, number)["NetworkSettings"] = FRONT
    around.first_pass()
    start_haproxy()
    around.up(*WEBS)


def told(around: Watched, *numbers: int) -> tuple[str, ...]:
    """What HAProxy was told of containers; of those that are out, ``out``."""
    return tuple("out" if around.told(number) in OUT else around.told(number) for number in numbers)


def nothing_to_do(around: Watched) -> None:
    """A sync finds nothing to do but to write what runs into the file."""
    before = told(around, *WEBS)
    report = around.sync()
    assert report.applied.changes in ((), [])
    assert report.applied.action in ("none", "write")
    assert around.sync().applied.action == "none"
    assert told(around, *WEBS) == before


# What happens to the containers 1 and 2, which serve


def becomes(state: str, status: str, action: str, *numbers: int) -> Callable[[Watched], None]:
    def happen(around: Watched) -> None:
        for number in numbers:
            listed(around, number).update(State=state, Status=status)
            around.event(number, action)

    return happen


def stops(*numbers: int) -> Callable[[Watched], None]:
    def happen(around: Watched) -> None:
        for number in numbers:
            around.event(number, "kill", signal="15")

    return happen


def is_renamed(*numbers: int) -> Callable[[Watched], None]:
    def happen(around: Watched) -> None:
        for number in numbers:
            listed(around, number)["Names"] = [f"/old-{number}"]
            around.event(number, "rename")

    return happen


def leaves_its_network(around: Watched) -> None:
    listed(around, 1)["NetworkSettings"] = {"Networks": {"back": {"IPAddress": "172.19.0.2"}}}
    around.event(1, "disconnect")


def is_published_no_more(around: Watched) -> None:
    listed(around, 1)["Ports"] = []
    around.event(1, "disconnect")


def dies(around: Watched) -> None:
    around.gone(1)
    around.event(1, "die")


def one_after_the_other(*happen: Callable[[Watched], None]) -> Callable[[Watched], None]:
    def all_of_it(around: Watched) -> None:
        for one in happen:
            one(around)

    return all_of_it


@dataclass(frozen=True)
class Life:
    """What happens, and what HAProxy is told of the containers 1 and 2 then."""

    happens: Callable[[Watched], None]
    one: str
    two: str


LISTED: Mapping[str, Life] = {
    "one is unhealthy": Life(becomes("running", "Up (unhealthy)", "health_status: unhealthy", 1), "drain", "ready"),
    "both are unhealthy": Life(
        becomes("running", "Up (unhealthy)", "health_status: unhealthy", 1, 2), "ready", "ready"
    ),
    "one is paused": Life(becomes("paused", "Up (Paused)", "pause", 1), "drain", "ready"),
    "one is paused, one unhealthy": Life(
        one_after_the_other(
            becomes("running", "Up (unhealthy)", "health_status: unhealthy", 2), becomes("paused", "Up", "pause", 1)
        ),
        "drain",
        "ready",
    ),
    "one is renamed away": Life(is_renamed(1), "out", "ready"),
    "one leaves the network": Life(leaves_its_network, "out", "ready"),
    "one is published no more": Life(is_published_no_more, "out", "ready"),
    "one dies": Life(dies, "out", "ready"),
    "one dies, one is unhealthy": Life(
        one_after_the_other(becomes("running", "Up (unhealthy)", "health_status: unhealthy", 2), dies), "out", "ready"
    ),
    "one is renamed away, one unhealthy": Life(
        one_after_the_other(is_renamed(1), becomes("running", "Up (unhealthy)", "health_status: unhealthy", 2)),
        "out",
        "ready",
    ),
}
"""What Docker's list shows as well."""

AT_ONCE: Mapping[str, Life] = {"both are renamed away": Life(is_renamed(1, 2), "ready", "ready")}
"""What comes out so only if nobody saw one of them first."""

TOLD: Mapping[str, Life] = {
    "one stops": Life(stops(1), "drain", "ready"),
    "one after the other stops": Life(stops(1, 2), "drain", "ready"),
    "one is unhealthy, and the other stops": Life(
        one_after_the_other(becomes("running", "Up (unhealthy)", "health_status: unhealthy", 1), stops(2)),
        "ready",
        "drain",
    ),
}
"""What only events tell: syncs know it from the watcher."""

LIVES = {**LISTED, **TOLD}


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_after_the_watcher_a_sync_has_nothing_to_do(
    around: Watched, start_haproxy: Start, markers: Iterator[int], life: Life
) -> None:
    both_serve(around, start_haproxy)
    around.watch()
    with taken(around, markers):
        life.happens(around)
    until(lambda: told(around, *WEBS) == (life.one, life.two))
    nothing_to_do(around)
    assert around.ask() == 200


@pytest.mark.parametrize("life", [*LISTED.values(), *AT_ONCE.values()], ids=[*LISTED, *AT_ONCE])
def test_after_a_sync_the_watcher_has_nothing_to_do(
    around: Watched, start_haproxy: Start, markers: Iterator[int], life: Life
) -> None:
    both_serve(around, start_haproxy)
    life.happens(around)
    # What is drained and has no requests goes by the same sync, or by the next one.
    until(lambda: around.sync() and told(around, *WEBS) == (life.one, life.two))
    nothing_to_do(around)
    around.watch()
    with taken(around, markers):
        """Everything is looked at once."""
    assert told(around, *WEBS) == (life.one, life.two)
    assert not [line for line in around.log if "change=" in line and "service=web" in line]


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_a_watcher_that_begins_anew_has_nothing_to_do_either(
    around: Watched, start_haproxy: Start, markers: Iterator[int], life: Life
) -> None:
    both_serve(around, start_haproxy)
    around.watch()
    with taken(around, markers):
        life.happens(around)
    until(lambda: told(around, *WEBS) == (life.one, life.two))
    around.stop()
    around.log.clear()
    around.watch()
    with taken(around, markers):
        """Everything is looked at once."""
    assert told(around, *WEBS) == (life.one, life.two)
    assert not [line for line in around.log if "change=" in line and "service=web" in line]
    nothing_to_do(around)


def test_what_only_the_watcher_heard_of_is_in_the_snapshot_of_a_sync(
    around: Watched, start_haproxy: Start, markers: Iterator[int]
) -> None:
    both_serve(around, start_haproxy)
    around.watch()
    with taken(around, markers):
        around.event(1, "kill", signal="15")
    assert ("localhost", container_id(1)) in stopping.load(around.settings.haproxy.run_directory, 30)
    wanted = {
        one.entry.endpoint.container_name: (one.verdict.wanted, one.verdict.standing)
        for one in Snapshot.taken(around.settings).decided.values()
        if one.entry
    }
    assert wanted["web-1"] == (Wanted.DRAIN, Standing.STOPPING)
    assert wanted["web-2"] == (Wanted.SERVE, Standing.HEALTHY)


# Another image


def test_containers_of_the_image_before_serve_until_one_of_the_new_image_is_usable(
    around: Watched, start_haproxy: Start, markers: Iterator[int]
) -> None:
    both_serve(around, start_haproxy)
    around.watch()
    web = another_image(around, "image_name")
    around.said("configuration=changed")
    with taken(around, markers):
        """The new configuration is followed."""
    until(lambda: [server.status for server in around.servers(3)] == ["DOWN"])
    assert told(around, 1, 2, 3) == ("ready", "ready", "ready")
    nothing_to_do(around)
    assert around.ask() == 200
    web.status = 200
    until(lambda: told(around, 1, 2, 3) == ("out", "out", "ready"))
    nothing_to_do(around)
    assert around.ask() == 200


def another_image(around: Watched, key: str) -> Any:
    """From now on another image serves: one container has it, and its check fails until it is told otherwise."""
    web = around.web()
    web.status = 500
    around.run(3, web)
    listed(around, 3)["Image"] = "local/other"
    listed(around, 3)["NetworkSettings"] = FRONT
    around.service["discovery"][key] = "local/other" if key == "image_name" else ["local/other"]
    if key == "allowed_images":
        del around.service["discovery"]["image_name"]
    around.write()
    return web


@pytest.mark.parametrize("key", ["image_name", "allowed_images"])
def test_for_syncs_alone_it_is_the_same(around: Watched, start_haproxy: Start, key: str) -> None:
    both_serve(around, start_haproxy)
    web = another_image(around, key)
    around.sync()
    until(lambda: [server.status for server in around.servers(3)] == ["DOWN"])
    nothing_to_do(around)
    assert told(around, 1, 2, 3) == ("ready", "ready", "ready")
    assert around.ask() == 200
    web.status = 200
    around.up(3)
    until(lambda: around.sync() and told(around, 1, 2, 3) == ("out", "out", "ready"))
    nothing_to_do(around)


@pytest.mark.parametrize("watched", [True, False], ids=["watcher", "syncs"])
def test_where_none_of_the_new_image_comes_the_others_leave_within_drain_timeout(
    around: Watched, start_haproxy: Start, watched: bool
) -> None:
    around.plain["haproxy"]["drain_timeout"] = 1
    both_serve(around, start_haproxy)
    around.service["discovery"]["image_name"] = "local/other"
    around.write()
    begun = time.monotonic()
    around.sync()
    assert told(around, *WEBS) == ("ready", "ready")
    if watched:
        around.watch()
    until(lambda: (watched or around.sync()) and told(around, *WEBS) == ("out", "out"))
    assert time.monotonic() - begun >= 1
    nothing_to_do(around)


# What the operator has drained


@pytest.mark.parametrize("watched", [True, False], ids=["watcher", "syncs"])
def test_a_drain_outlives_a_restart_of_its_container_that_a_sync_meets(
    around: Watched, start_haproxy: Start, template: str, markers: Iterator[int], watched: bool
) -> None:
    both_serve(around, start_haproxy)
    if watched:
        around.watch()
    target = Target.named("container", "web-1")
    drain.drain(around.settings, template, target)
    until(lambda: told(around, *WEBS) == ("drain", "ready"))
    dies(around)
    until(lambda: (watched or around.sync()) and told(around, *WEBS) == ("out", "ready"))
    nothing_to_do(around)
    # It is reached at another port now.
    around.run(1)
    listed(around, 1)["NetworkSettings"] = FRONT
    around.event(1, "start")
    if watched:
        with taken(around, markers):
            """That it has started."""
    nothing_to_do(around)
    assert told(around, *WEBS) == ("out", "ready")
    drain.ready(around.settings, template, target, wait=10)
    around.up(*WEBS)
    nothing_to_do(around)
