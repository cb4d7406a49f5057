"""What every kind of source keeps to: the rows of ``simulated_sources``."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from dockmaster import snapshot
from dockmaster.catalog import Catalog
from dockmaster.errors import SourceError
from dockmaster.model.event import GONE
from dockmaster.sources import table
from dockmaster.sources.protocol import Answer, Heard, Known, Listing, Message, Source, Unreachable
from dockmaster.sources.static import Static
from dockmaster.state.last_known import LastKnown
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated_sources import ROWS, DefaultServers, Row, Simulated
from waiting import until

TIMEOUT = 1
"""Seconds that a source is given for an answer."""
LATE = 10.0
"""Seconds after which it is late, on a machine that has other things to do."""
MANY = 10_000

every_kind = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
every_kind_that_changes = pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.changes], ids=[kind for kind, row in ROWS.items() if row.changes]
)
every_kind_that_does_not = pytest.mark.parametrize(
    "row",
    [row for row in ROWS.values() if not row.changes],
    ids=[kind for kind, row in ROWS.items() if not row.changes],
)
every_fault = pytest.mark.parametrize(
    ("row", "fault"),
    [(row, fault) for row in ROWS.values() for fault in row.faults],
    ids=[f"{kind} {fault}" for kind, row in ROWS.items() for fault in row.faults],
)


@pytest.fixture
def simulated(row: Row, free_port: Callable[[], int]) -> Iterator[Simulated]:
    with row.simulate(free_port) as one:
        yield one


def source_of(row: Row, simulated: Simulated) -> Source:
    return table.sources(simulated.settings)[row.source]


def ports_of(answer: Answer) -> set[int]:
    return {one.port for one in answer.endpoints["web"]}


class Following:
    """One who follows a source, and takes what it says into a catalog, as the watcher does."""

    def __init__(self, row: Row, simulated: Simulated) -> None:
        self._source = source_of(row, simulated)
        self._catalog = Catalog(simulated.settings, LastKnown(), time.monotonic())
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.heard: list[Message] = []
        self._follower = self._source.follow(self._messages, 30.0)

    def take(self) -> None:
        """Take what was said so far."""
        while not self._messages.empty():
            message = self._messages.get()
            self.heard.append(message)
            if isinstance(message, Listing) and message.entries is not None:
                known = self._catalog.attributed(message.source, message.ids)
                answer = self._source.read(message.entries, known)
                self._catalog.listed(message.source, answer, time.monotonic(), message.ids)
            elif isinstance(message, Heard) and message.event.action in GONE:
                self._catalog.gone((message.source, message.event.container))

    @property
    def ports(self) -> set[int]:
        """Those of the endpoints that are known by now."""
        self.take()
        return {entry.endpoint.port for entry in self._catalog.entries.values()}

    @property
    def unreachable(self) -> list[Unreachable]:
        """How often it was said that the source does not answer."""
        self.take()
        return [message for message in self.heard if isinstance(message, Unreachable)]

    def end(self) -> None:
        self._follower.end()


@pytest.fixture
def follow(row: Row, simulated: Simulated) -> Iterator[Callable[[], Following]]:
    """Begins to follow."""
    begun: list[Following] = []

    def begin() -> Following:
        begun.append(Following(row, simulated))
        return begun[-1]

    yield begin
    for following in begun:
        following.end()


def test_every_kind_of_source_has_a_row_here() -> None:
    assert ROWS.keys() == table.KINDS.keys()


@every_kind
def test_a_source_is_found_by_its_name(row: Row, simulated: Simulated) -> None:
    simulated.has([20001])
    assert source_of(row, simulated).name == row.source


@every_kind
def test_it_answers_with_its_endpoints(row: Row, simulated: Simulated) -> None:
    simulated.has([20001, 20002])
    answer = source_of(row, simulated).ask({}, TIMEOUT)
    assert ports_of(answer) == {20001, 20002}
    assert not answer.rejected
    assert not answer.unhealthy.get("web")


@every_kind
def test_what_it_says_is_the_same_asked_twice(row: Row, simulated: Simulated) -> None:
    simulated.has([20002, 20001, 20003])
    source = source_of(row, simulated)
    assert source.ask({}, TIMEOUT) == source.ask({}, TIMEOUT)


@every_kind_that_changes
def test_that_there_is_nothing_is_an_answer(row: Row, simulated: Simulated) -> None:
    simulated.has([])
    assert ports_of(source_of(row, simulated).ask({}, TIMEOUT)) == set()


@every_kind
def test_ten_thousand_endpoints_are_read_in_bounded_time(row: Row, simulated: Simulated) -> None:
    simulated.has(range(20_000, 20_000 + MANY))
    source = source_of(row, simulated)
    begun = time.monotonic()
    answer = source.ask({}, 30)
    assert time.monotonic() - begun < LATE
    assert len(ports_of(answer)) == MANY


@every_fault
def test_one_that_fails_is_unreachable_in_time_and_never_empty(row: Row, simulated: Simulated, fault: str) -> None:
    simulated.has([20001])
    source = source_of(row, simulated)
    assert ports_of(source.ask({}, TIMEOUT)) == {20001}
    simulated.fails(fault)
    begun = time.monotonic()
    with pytest.raises(SourceError) as failed:
        source.ask({}, TIMEOUT)
    assert time.monotonic() - begun < LATE
    # One sentence, which names the source.
    assert row.source in str(failed.value)
    assert "\n" not in str(failed.value)
    simulated.recovers()
    assert ports_of(source.ask({}, TIMEOUT)) == {20001}


@every_kind
def test_follow_lists_everything_first(simulated: Simulated, follow: Callable[[], Following]) -> None:
    simulated.has([20001, 20002])
    following = follow()
    until(lambda: following.ports)
    first = following.heard[0]
    assert isinstance(first, Listing)
    assert first.ids is None
    assert first.entries is not None
    assert following.ports == {20001, 20002}
    assert not following.unreachable


@every_kind_that_changes
def test_follow_tells_what_comes_and_what_goes(simulated: Simulated, follow: Callable[[], Following]) -> None:
    simulated.has([20001])
    following = follow()
    for ports in ({20001}, {20001, 20002}, {20002}, set(), {20003}):
        simulated.has(sorted(ports))
        until(partial(lambda ports: following.ports == ports, ports))
    assert not following.unreachable


@every_kind_that_does_not
def test_what_does_not_change_is_listed_once(simulated: Simulated, follow: Callable[[], Following]) -> None:
    simulated.has([20001])
    following = follow()
    until(lambda: following.ports == {20001})
    assert len(following.heard) == 1


@every_fault
def test_one_that_goes_while_it_is_followed_takes_nothing_away_and_is_taken_up_again(
    simulated: Simulated, fault: str, follow: Callable[[], Following]
) -> None:
    simulated.has([20001, 20002])
    following = follow()
    until(lambda: following.ports == {20001, 20002})
    simulated.fails(fault)
    until(lambda: following.unreachable, 20)
    assert following.ports == {20001, 20002}
    assert following.unreachable[0].why in following.unreachable[0].reason
    simulated.recovers()
    simulated.has([20002, 20003])
    until(lambda: following.ports == {20002, 20003}, 20)


@every_fault
def test_one_that_fails_from_the_beginning_says_so_and_is_taken_up(
    simulated: Simulated, fault: str, follow: Callable[[], Following]
) -> None:
    simulated.has([20001])
    simulated.fails(fault)
    following = follow()
    until(lambda: following.unreachable, 20)
    assert not [one for one in following.heard if isinstance(one, Listing)]
    simulated.recovers()
    until(lambda: following.ports == {20001}, 20)


@every_kind_that_changes
def test_after_its_end_a_follower_tells_nothing(simulated: Simulated, follow: Callable[[], Following]) -> None:
    simulated.has([20001])
    ended, going_on = follow(), follow()
    until(lambda: ended.ports == going_on.ports == {20001})
    ended.end()
    # What was under way at that moment may still come.
    simulated.has([20001, 20002])
    until(lambda: going_on.ports == {20001, 20002})
    ended.take()
    heard = len(ended.heard)
    simulated.has([20002, 20003])
    until(lambda: going_on.ports == {20002, 20003})
    ended.take()
    assert len(ended.heard) == heard


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@every_kind
@given(entries=st.lists(anything, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_it_lists_is_read_or_rejected(row: Row, simulated: Simulated, entries: list[Any]) -> None:
    simulated.has([20001])
    answer = source_of(row, simulated).read(entries, {})
    json.dumps([one.as_dict() for one in answer.rejected])
    assert all(one.reason for one in answer.rejected)


@every_kind
def test_all_sources_are_asked_together(row: Row, simulated: Simulated) -> None:
    simulated.has([20001])
    found = snapshot.ask(simulated.settings, LastKnown(), TIMEOUT)
    assert ports_of(found.answers[row.source]) == {20001}
    assert not found.unreachable


def test_one_that_breaks_is_unreachable_and_holds_up_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Static):
        def ask(self, known: Known, timeout: int) -> Answer:
            raise ZeroDivisionError(f"{known} {timeout}")

    monkeypatch.setattr(table, "KINDS", {**table.KINDS, "broken": lambda _: {"broken": Broken(())}})
    simulated = DefaultServers()
    simulated.has([20001])
    found = snapshot.ask(simulated.settings, LastKnown(), TIMEOUT)
    assert "ZeroDivisionError" in found.unreachable["broken"]
    assert ports_of(found.answers["static"]) == {20001}
