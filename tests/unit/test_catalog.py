"""The catalog: what each source said last, whatever it says and in whatever order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from dockmaster.catalog import Catalog, Condition, Entry
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.haproxy.servers import Key, key_of
from dockmaster.model.endpoint import Endpoint
from dockmaster.sources.protocol import Answer
from dockmaster.state.last_known import LastKnown
from hypothesis import given
from hypothesis import strategies as st

NOW = 1000.0
SPARE = {"name": "spare", "host": "127.0.0.1", "port": 9}


def settings_of(*hosts: str, **more: Any) -> Settings:
    servers = [{"name": host, "host": "127.0.0.1"} for host in hosts]
    discovery = {"image_name": "local/web", "container_port": 8000, "servers": servers}
    return parse({"services": {"web": {"discovery": discovery, "haproxy": {"port": 80}, **more}}}, "test")


SETTINGS = settings_of("app1")


def endpoint(number: int, host: str = "app1", port: int = 0, *, paused: bool = False) -> Endpoint:
    return Endpoint(host, f"{number:012x}" * 5, "127.0.0.1", port or 20000 + number, f"web-{number}", paused=paused)


def answer(
    healthy: Iterable[Endpoint] = (),
    unhealthy: Iterable[Endpoint] = (),
    others: Iterable[Endpoint] = (),
    unclear: Iterable[Endpoint] = (),
) -> Answer:
    """What a source says; the others run, and are of no service."""
    healthy, unhealthy = list(healthy), list(unhealthy)
    running = frozenset(one.container_id for some in (healthy, unhealthy, others, unclear) for one in some)
    return Answer(
        {"web": healthy}, {"web": unhealthy}, unclear=frozenset(one.container_id for one in unclear), running=running
    )


def catalog_of(settings: Settings = SETTINGS, known: LastKnown | None = None, **more: Any) -> Catalog:
    return Catalog(settings, known or LastKnown(), NOW, **more)


def key(one: Endpoint, settings: Settings = SETTINGS) -> Key:
    return key_of(settings.services[0], one)


def conditions(catalog: Catalog) -> dict[str, Condition]:
    """By the container's name, or by the server's."""
    return {
        entry.endpoint.container_name or entry.endpoint.given_name: entry.condition
        for entry in catalog.entries.values()
    }


ONE, TWO, THREE = endpoint(1), endpoint(2), endpoint(3)


def test_a_listing_tells_what_has_changed_by_container_and_the_same_one_nothing() -> None:
    catalog = catalog_of()
    assert catalog.listed("app1", answer([ONE, TWO]), NOW) == {
        ONE.container_id: {key(ONE)},
        TWO.container_id: {key(TWO)},
    }
    assert catalog.listed("app1", answer([ONE, TWO]), NOW + 5) == {}
    assert catalog.listed("app1", answer([ONE], [TWO]), NOW) == {TWO.container_id: {key(TWO)}}
    assert conditions(catalog) == {"web-1": Condition.HEALTHY, "web-2": Condition.UNHEALTHY}


def test_what_is_listed_no_more_is_gone() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([ONE, TWO]), NOW)
    assert catalog.listed("app1", answer([TWO]), NOW) == {ONE.container_id: {key(ONE)}}
    assert catalog.listed("app1", answer(), NOW) == {TWO.container_id: {key(TWO)}}
    assert not catalog.entries
    assert not list(catalog.of_source("app1"))


def test_a_listing_of_some_containers_says_nothing_of_the_others() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([ONE, TWO, THREE]), NOW)
    some = {ONE.container_id, TWO.container_id}
    assert catalog.listed("app1", answer([TWO]), NOW, some) == {ONE.container_id: {key(ONE)}}
    assert conditions(catalog).keys() == {"web-2", "web-3"}


def test_what_is_known_by_something_newer_is_left_alone() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([ONE, TWO]), NOW)
    catalog.gone(("app1", ONE.container_id))
    assert catalog.listed("app1", answer([ONE, TWO]), NOW, newer={ONE.container_id}) == {}
    assert conditions(catalog).keys() == {"web-2"}


def test_one_source_says_nothing_of_another_ones_endpoints() -> None:
    settings = settings_of("app1", "app2")
    catalog = catalog_of(settings)
    catalog.listed("app1", answer([ONE]), NOW)
    catalog.listed("app2", answer([endpoint(2, "app2")]), NOW)
    catalog.listed("app1", answer(), NOW)
    assert conditions(catalog) == {"web-2": Condition.HEALTHY}
    assert list(catalog.of_source("app2")) == [key(endpoint(2, "app2"), settings)]


def test_two_of_one_short_id_are_one_server_and_the_first_keeps_it() -> None:
    catalog = catalog_of()
    double = Endpoint("app1", ONE.container_id[:12] + "f" * 48, ONE.host, ONE.port, "double")
    catalog.listed("app1", answer([ONE]), NOW)
    assert catalog.listed("app1", answer([ONE, double]), NOW) == {}
    assert catalog.listed("app1", answer([double]), NOW).keys() == {ONE.container_id, double.container_id}
    assert conditions(catalog) == {"double": Condition.HEALTHY}


def test_one_that_is_reached_elsewhere_is_another_server() -> None:
    catalog = catalog_of()
    moved = endpoint(1, port=30001)
    catalog.listed("app1", answer([ONE]), NOW)
    assert catalog.listed("app1", answer([moved]), NOW) == {ONE.container_id: {key(ONE), key(moved)}}
    assert catalog.entries.keys() == {key(moved)}


# What runs on, and is not of the service any more


def test_what_runs_on_has_left_and_since_when_stays() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([ONE]), NOW)
    assert catalog.listed("app1", answer(others=[ONE]), NOW + 1) == {ONE.container_id: {key(ONE)}}
    assert catalog.listed("app1", answer(others=[ONE]), NOW + 9) == {}
    assert (catalog.entries[key(ONE)].condition, catalog.entries[key(ONE)].since) == (Condition.LEFT, NOW + 1)
    catalog.listed("app1", answer([ONE]), NOW + 10)
    assert conditions(catalog) == {"web-1": Condition.HEALTHY}


def test_what_has_left_is_not_attributed_and_is_gone_once_it_ends() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([ONE, TWO]), NOW)
    catalog.listed("app1", answer([TWO], others=[ONE]), NOW)
    assert catalog.attributed("app1", None) == {"web": {TWO.container_id}}
    assert catalog.attributed("app1", [ONE.container_id]) == {}
    catalog.listed("app1", answer([TWO]), NOW)
    assert conditions(catalog).keys() == {"web-2"}


def test_one_whose_image_nobody_knows_stays_what_it_was() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([ONE], [TWO]), NOW)
    assert catalog.listed("app1", answer(unclear=[ONE, TWO]), NOW) == {}
    assert conditions(catalog) == {"web-1": Condition.HEALTHY, "web-2": Condition.UNHEALTHY}


# What events say


def test_events_say_what_is_paused_and_what_is_gone() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([ONE, TWO]), NOW)
    assert catalog.paused(("app1", ONE.container_id)) == {key(ONE)}
    assert catalog.gone(("app1", TWO.container_id)) == {key(TWO)}
    assert catalog.gone(("app1", TWO.container_id)) == frozenset()
    assert conditions(catalog) == {"web-1": Condition.PAUSED}
    assert catalog.listed("app1", answer(unhealthy=[endpoint(1, paused=True)]), NOW) == {}


def test_what_has_left_is_not_of_the_service_again_for_being_paused() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([ONE]), NOW)
    catalog.listed("app1", answer(others=[ONE]), NOW + 1)
    catalog.paused(("app1", ONE.container_id))
    assert (catalog.entries[key(ONE)].condition, catalog.entries[key(ONE)].since) == (Condition.LEFT, NOW + 1)


@pytest.mark.parametrize("how", ["event", "listing"])
def test_where_the_service_keeps_its_last_ones_they_are_previous(how: str) -> None:
    catalog = catalog_of(settings_of("app1", use_previous_backends=True))
    catalog.listed("app1", answer([ONE]), NOW)
    if how == "event":
        catalog.gone(("app1", ONE.container_id))
    else:
        catalog.listed("app1", answer(), NOW)
    assert conditions(catalog) == {"web-1": Condition.PREVIOUS}
    assert catalog.listed("app1", answer(), NOW) == {}
    catalog.listed("app1", answer([TWO]), NOW)
    assert conditions(catalog) == {"web-1": Condition.PREVIOUS, "web-2": Condition.HEALTHY}


# What was last known


def test_what_was_last_known_counts_once_its_source_is_known_not_to_answer() -> None:
    catalog = catalog_of(known=LastKnown({"web": [ONE, TWO]}))
    assert all(entry.remembered for entry in catalog.entries.values())
    assert catalog.attributed("app1", None) == {}
    assert sorted(catalog.heard("app1")) == [key(ONE), key(TWO)]
    assert catalog.heard("app1") == []
    assert conditions(catalog) == dict.fromkeys(("web-1", "web-2"), Condition.HEALTHY)


def test_what_was_last_known_gives_way_to_what_its_source_says() -> None:
    catalog = catalog_of(known=LastKnown({"web": [ONE, TWO, THREE]}))
    changed = catalog.listed("app1", answer([ONE], others=[THREE]), NOW)
    assert changed.keys() == {ONE.container_id, TWO.container_id, THREE.container_id}
    assert conditions(catalog) == {"web-1": Condition.HEALTHY, "web-3": Condition.LEFT}
    assert not any(entry.remembered for entry in catalog.entries.values())


def test_what_had_left_before_has_left_since_then() -> None:
    left = {"web": {key(ONE)[1]: NOW - 30, key(TWO)[1]: NOW + 30}}
    catalog = catalog_of(known=LastKnown({"web": [ONE, TWO]}, left))
    # A time that is still to come is none.
    assert {entry.since for entry in catalog.entries.values()} == {NOW - 30, NOW}
    catalog.listed("app1", answer(others=[ONE, TWO]), NOW + 5)
    assert {entry.since for entry in catalog.entries.values()} == {NOW - 30, NOW}


def test_what_was_on_a_host_that_the_configuration_names_no_more_has_left() -> None:
    known = LastKnown({"web": [endpoint(1, "app9"), endpoint(2, "app8")]})
    assert conditions(catalog_of(known=known)) == dict.fromkeys(("web-1", "web-2"), Condition.LEFT)
    # Unless a playbook has just asked it.
    catalog = catalog_of(known=known, more=["app9"])
    assert conditions(catalog) == {"web-1": Condition.HEALTHY, "web-2": Condition.LEFT}


def test_default_servers_are_listed_each_by_itself() -> None:
    settings = settings_of("app1", default_servers=[SPARE, {**SPARE, "name": "other"}])
    catalog = catalog_of(settings)
    changed = catalog.listed("static", Answer({"web": settings.services[0].default_servers}), NOW)
    assert changed == {"web/spare": {("web", "spare")}, "web/other": {("web", "other")}}
    assert conditions(catalog) == dict.fromkeys(("spare", "other"), Condition.STATIC)


# What only HAProxy knows, and what is of no interest any more


def test_a_server_that_nobody_knows_has_left_until_it_is_forgotten() -> None:
    catalog = catalog_of()
    catalog.listed("app1", answer([TWO]), NOW)
    unknown = Endpoint("", "", "127.0.0.1", 20001, given_name=key(ONE)[1])
    catalog.add_left_over(key(ONE), Entry(catalog.sections[key(ONE)[0]], unknown, Condition.LEFT, 1.0, left_over=True))
    assert catalog.entries[key(ONE)].left_over
    assert set(catalog.of_section("web")) == {key(ONE), key(TWO)}
    catalog.forget(key(ONE))
    catalog.forget(key(ONE))
    assert set(catalog.of_section("web")) == {key(TWO)}


def test_a_source_that_lists_a_server_left_over_takes_it_over() -> None:
    catalog = catalog_of()
    unknown = Endpoint("", "", ONE.host, ONE.port, given_name=key(ONE)[1])
    catalog.add_left_over(key(ONE), Entry(catalog.sections[key(ONE)[0]], unknown, Condition.LEFT, 1.0, left_over=True))
    catalog.listed("app1", answer([ONE]), NOW)
    assert catalog.entries[key(ONE)].condition is Condition.HEALTHY
    catalog.listed("app1", answer([ONE, TWO]), NOW)
    assert set(catalog.of_section("web")) == {key(ONE), key(TWO)}
    assert catalog.keys(("app1", ONE.container_id)) == {key(ONE)}


# Whatever is said


containers = st.dictionaries(st.integers(1, 4), st.sampled_from(["healthy", "unhealthy", "other", "unclear"]))


def said(found: dict[int, str]) -> Answer:
    by = {how: [endpoint(number) for number, one in found.items() if one == how] for how in set(found.values())}
    return answer(by.get("healthy", ()), by.get("unhealthy", ()), by.get("other", ()), by.get("unclear", ()))


def check_indices(catalog: Catalog) -> None:
    """Everything that is known is found by each way, and nothing else."""
    entries = catalog.entries
    assert set(catalog.of_section("web")) == entries.keys()
    assert set(catalog.of_source("app1")) == entries.keys()
    for one, entry in entries.items():
        assert one in catalog.keys(entry.container)
        assert key(entry.endpoint) == one


@given(st.lists(st.tuples(st.sampled_from(["all", "some", "gone", "paused"]), containers), max_size=8))
def test_whatever_is_said_in_whatever_order_the_last_full_listing_counts(
    steps: list[tuple[str, dict[int, str]]],
) -> None:
    catalog = catalog_of(known=LastKnown({"web": [ONE, TWO]}))
    for time, (what, found) in enumerate(steps):
        if what == "all":
            catalog.listed("app1", said(found), NOW + time)
        elif what == "some":
            catalog.listed("app1", said(found), NOW + time, {endpoint(number).container_id for number in found})
        else:
            for number in found:
                of = ("app1", endpoint(number).container_id)
                assert (catalog.gone if what == "gone" else catalog.paused)(of) <= {key(endpoint(number))}
        check_indices(catalog)
    catalog.listed("app1", said({1: "healthy", 2: "unhealthy"}), NOW + 99)
    check_indices(catalog)
    assert conditions(catalog) == {"web-1": Condition.HEALTHY, "web-2": Condition.UNHEALTHY}


@given(containers, containers)
def test_what_is_told_as_changed_is_what_differs(before: dict[int, str], after: dict[int, str]) -> None:
    catalog = catalog_of()
    catalog.listed("app1", said(before), NOW)
    old = dict(catalog.entries)
    changed = catalog.listed("app1", said(after), NOW + 1)
    differs = {one for one in old | catalog.entries if old.get(one) != catalog.entries.get(one)}
    assert {one for keys in changed.values() for one in keys} == differs


def test_a_default_server_that_the_configuration_has_no_more_has_left() -> None:
    before = settings_of("app1", default_servers=[SPARE]).services[0].default_servers
    catalog = catalog_of(known=LastKnown({"web": before}))
    catalog.listed("static", Answer({"web": []}), NOW)
    assert conditions(catalog) == {"spare": Condition.LEFT}
    catalog.listed("static", Answer({"web": []}), NOW + 5)
    assert catalog.entries["web", "spare"].since == NOW
    catalog.forget(("web", "spare"))
    assert not catalog.entries
