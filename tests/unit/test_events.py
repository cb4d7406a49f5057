"""Parse Docker's events: any input gives an event or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dockmaster.model.event import FILTERS, Event
from hypothesis import example, given
from hypothesis import strategies as st

ID = "0123456789abcdef" * 4
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(st.sampled_from(["signal", "container", "name"]), ANYTHING | st.just(ID))
ACTOR = st.fixed_dictionaries({"ID": ANYTHING | st.just(ID), "Attributes": ATTRIBUTES | ANYTHING})


def line(**event: Any) -> bytes:
    return json.dumps(event).encode()


@given(st.binary())
@example(b"[" * 100_000)
@example(b"9" * 5000)
def test_any_bytes_are_parsed_without_an_error(data: bytes) -> None:
    event = Event.parse(data)
    assert event is None or isinstance(event, Event)


@given(
    st.fixed_dictionaries(
        {
            "Type": st.sampled_from(["container", "network"]) | ANYTHING,
            "Action": st.sampled_from(FILTERS["event"]) | ANYTHING,
            "Actor": st.fixed_dictionaries({"ID": ANYTHING | st.just(ID), "Attributes": ATTRIBUTES | ANYTHING})
            | ANYTHING,
        }
    )
    | ANYTHING
)
def test_event_has_a_checked_id_a_short_action_and_a_number(raw: object) -> None:
    event = Event.parse(json.dumps(raw).encode())
    if event:
        assert event.container == ID
        assert len(event.action) <= 64
        assert event.signal is None or 0 <= event.signal < 100


def test_kill_event_has_its_signal() -> None:
    killed = line(Type="container", Action="kill", Actor={"ID": ID, "Attributes": {"signal": "15"}})
    assert Event.parse(killed) == Event(ID, "kill", 15)


def test_network_event_is_one_of_its_container() -> None:
    left = line(Type="network", Action="disconnect", Actor={"ID": "f" * 64, "Attributes": {"container": ID}})
    assert Event.parse(left) == Event(ID, "disconnect")


@pytest.mark.parametrize("signal", ["TERM", "", "-1", "1.5", "\u0661", "100", "9" * 500, None, [], {}])
def test_signal_that_is_no_number_is_ignored(signal: object) -> None:
    event = Event.parse(line(Type="container", Action="kill", Actor={"ID": ID, "Attributes": {"signal": signal}}))
    assert event
    assert event.signal is None
    assert event.stops(None)
    assert not event.stops((15,))


@pytest.mark.parametrize(
    ("action", "signal", "signals", "stops"),
    [
        ("kill", 15, None, True),
        ("kill", 9, None, True),
        ("kill", 1, None, False),
        ("kill", 28, None, False),
        ("kill", 28, (28,), True),
        ("kill", 15, (28,), False),
        ("die", 15, None, False),
    ],
)
def test_default_and_configured_signals_stop_a_container(
    action: str, signal: int, signals: tuple[int, ...] | None, stops: bool
) -> None:
    assert Event(ID, action, signal).stops(signals) == stops
