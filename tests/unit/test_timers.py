"""What waits for its time."""

from __future__ import annotations

import pytest
from dockmaster.watch.timers import Timers


@pytest.fixture
def clock() -> list[float]:
    """The time, which a test sets."""
    return [100.0]


def test_a_thing_is_due_once_at_its_time(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    timers.soon("save", 5)
    assert not timers.due("save")
    clock[0] += 5
    assert timers.due("save")
    assert not timers.due("save")


def test_what_is_planned_is_not_put_off(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    timers.soon("save", 1)
    clock[0] += 0.5
    timers.soon("save", 1)
    clock[0] += 0.5
    assert timers.due("save")


def test_what_is_wanted_earlier_is_due_earlier(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    timers.soon("save", 15)
    timers.soon("save", 1)
    clock[0] += 1
    assert timers.due("save")
    assert timers.wait(60) == 60


def test_what_comes_again_and_again_begins_now(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    assert timers.due("look", 5)
    assert not timers.due("look", 5)
    clock[0] += 4.9
    assert not timers.due("look", 5)
    clock[0] += 100
    assert [timers.due("look", 5), timers.due("look", 5)] == [True, False]


def test_it_waits_for_the_next_thing_and_no_longer_than_it_may(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    assert timers.wait(1) == 1
    timers.soon("late", 30)
    assert timers.wait(1) == 1
    timers.soon("sweep", 0.25)
    assert timers.wait(1) == 0.25
    clock[0] += 5
    assert timers.wait(1) == 0
