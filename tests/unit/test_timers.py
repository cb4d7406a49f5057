"""Timers by the monotonic clock."""

from __future__ import annotations

import pytest
from dockmaster.watch.timers import Timers


@pytest.fixture
def clock() -> list[float]:
    """The time, which the test sets."""
    return [100.0]


def test_timer_is_due_once(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    timers.soon("save", 5)
    assert not timers.due("save")
    clock[0] += 5
    assert timers.due("save")
    assert not timers.due("save")


def test_later_request_does_not_delay_a_timer(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    timers.soon("save", 1)
    clock[0] += 0.5
    timers.soon("save", 1)
    clock[0] += 0.5
    assert timers.due("save")


def test_earlier_request_brings_a_timer_forward(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    timers.soon("save", 15)
    timers.soon("save", 1)
    clock[0] += 1
    assert timers.due("save")
    assert timers.wait(60) == 60


def test_repeated_timer_is_due_at_once_the_first_time(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    assert timers.due("look", 5)
    assert not timers.due("look", 5)
    clock[0] += 4.9
    assert not timers.due("look", 5)
    clock[0] += 100
    assert [timers.due("look", 5), timers.due("look", 5)] == [True, False]


def test_wait_ends_at_the_next_timer_or_the_limit(clock: list[float]) -> None:
    timers = Timers(lambda: clock[0])
    assert timers.wait(1) == 1
    timers.soon("late", 30)
    assert timers.wait(1) == 1
    timers.soon("sweep", 0.25)
    assert timers.wait(1) == 0.25
    clock[0] += 5
    assert timers.wait(1) == 0
