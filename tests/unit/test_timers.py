"""What waits for its time."""

from __future__ import annotations

import time

import pytest
from dockmaster.watch.timers import Timers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_thing_is_due_once_at_its_time(clock: list[float]) -> None:
    agenda = Timers()
    agenda.soon("save", 5)
    assert not agenda.due("save")
    clock[0] += 5
    assert agenda.due("save")
    assert not agenda.due("save")


def test_what_is_planned_is_not_put_off(clock: list[float]) -> None:
    agenda = Timers()
    agenda.soon("save", 1)
    clock[0] += 0.5
    agenda.soon("save", 1)
    clock[0] += 0.5
    assert agenda.due("save")


def test_what_is_wanted_earlier_is_due_earlier(clock: list[float]) -> None:
    agenda = Timers()
    agenda.soon("save", 15)
    agenda.soon("save", 1)
    clock[0] += 1
    assert agenda.due("save")
    assert agenda.wait(60) == 60


def test_what_comes_again_and_again_begins_now(clock: list[float]) -> None:
    agenda = Timers()
    assert agenda.due("look", 5)
    assert not agenda.due("look", 5)
    clock[0] += 4.9
    assert not agenda.due("look", 5)
    clock[0] += 100
    assert [agenda.due("look", 5), agenda.due("look", 5)] == [True, False]


def test_it_waits_for_the_next_thing_and_no_longer_than_it_may(clock: list[float]) -> None:
    agenda = Timers()
    assert agenda.wait(1) == 1
    agenda.soon("late", 30)
    assert agenda.wait(1) == 1
    agenda.soon("sweep", 0.25)
    assert agenda.wait(1) == 0.25
    clock[0] += 5
    assert agenda.wait(1) == 0
