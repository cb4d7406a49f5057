"""Who gets traffic: a table that reads like "Life of a container" in docs/architecture.md, and what always holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations

import pytest
from dockmaster.catalog import Condition, Entry
from dockmaster.config.parse import parse
from dockmaster.config.settings import Service
from dockmaster.haproxy.commands import ADDED, DELETED, DRAINED, READIED, REMOVED, step
from dockmaster.haproxy.runtime import DRAIN, MAINT, READY, ServerState
from dockmaster.haproxy.servers import Server
from dockmaster.model.endpoint import Endpoint
from dockmaster.state.drains import Drain
from dockmaster.state.stopping import Stopping
from dockmaster.traffic import (
    RULES,
    Facts,
    ServiceFacts,
    Standing,
    Verdict,
    Wanted,
    best_of,
    decide,
    is_plain,
    standing_of,
    word_of,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

NOW = 1000.0
DRAIN_TIMEOUT = 60.0
WEB = Endpoint("app1", "ab" * 32, "127.0.0.1", 49153, "web-1")
STATIC = Endpoint("", "", "127.0.0.1", 8000, given_name="spare")
BY_ADA = Drain("app1", "web-1", by="ada", at=1.0)
TOLD = Stopping(NOW + 30, frozenset({WEB.port}))


def _service(**more: object) -> Service:
    discovery = {"image_name": "local/web", "container_port": 8000, "servers": [{"name": "app1", "host": "127.0.0.1"}]}
    plain = {"services": {"web": {"discovery": discovery, "haproxy": {"port": 80}, **more}}}
    return parse(plain, "test").services[0]


SERVICE = _service()
KEEPS_DEFAULT_SERVERS = _service(keep_default_servers=True)

# What its source says


def entry(condition: Condition, *, since: float = 0.0, service: Service = SERVICE) -> Entry:
    return Entry(service, STATIC if condition is Condition.STATIC else WEB, condition, since)


HEALTHY = entry(Condition.HEALTHY)
UNHEALTHY = entry(Condition.UNHEALTHY)
PAUSED = entry(Condition.PAUSED)
JUST_LEFT = entry(Condition.LEFT, since=NOW - 1)
LEFT_LONG_AGO = entry(Condition.LEFT, since=NOW - DRAIN_TIMEOUT)
DEFAULT_SERVER = entry(Condition.STATIC)
KEPT_DEFAULT_SERVER = entry(Condition.STATIC, service=KEEPS_DEFAULT_SERVERS)
PREVIOUS = entry(Condition.PREVIOUS)

# What HAProxy reports


def server(admin: str | None = READY, *, passes: bool = True) -> ServerState | None:
    """A server that was told this; None if HAProxy has none."""
    if admin is None:
        return None
    status = "MAINT" if admin == MAINT else "DOWN" if not passes else "UP" if admin == READY else "DRAIN"
    return ServerState("web", "server", "127.0.0.1", 49153, admin, status, True, 0, 0, 1, 0)


UP = server()
DOWN = server(passes=False)
DRAINING = server(DRAIN)
DRAINING_AND_DOWN = server(DRAIN, passes=False)
OUT = server(MAINT)
ABSENT = None


@dataclass(frozen=True)
class Row:
    """What is so, what is wanted then, and by which rule."""

    entry: Entry | None
    haproxy: ServerState | None
    others: ServiceFacts
    wanted: Wanted
    rule: str
    stopping: Stopping | None = None
    drain: Drain | None = None

    @property
    def facts(self) -> Facts:
        served = self.haproxy is not None
        return Facts(self.entry, self.stopping, self.drain, self.haproxy, served, DRAIN_TIMEOUT, NOW, self.others)


# What else the service has

ALONE = ServiceFacts(0, None)
"""No healthy endpoint, and no usable server."""
ONE_STARTS = ServiceFacts(1, None)
"""A healthy endpoint whose server HAProxy does not find usable yet."""
ONE_SERVES = ServiceFacts(1, Standing.HEALTHY)


def only(best: Standing) -> ServiceFacts:
    """The best usable server is no better than this."""
    return ServiceFacts(0, best)


LIFE = {
    "it starts: HAProxy has no server yet": Row(HEALTHY, ABSENT, ALONE, Wanted.SERVE, "healthy"),
    "it is healthy, and serves": Row(HEALTHY, UP, ONE_SERVES, Wanted.SERVE, "healthy"),
    "it is healthy, and HAProxy's check fails": Row(HEALTHY, DOWN, ONE_STARTS, Wanted.SERVE, "healthy"),
    "it is healthy, and somebody took it out by hand": Row(HEALTHY, OUT, ONE_SERVES, Wanted.SERVE, "healthy"),
    "it is unhealthy beside a healthy one": Row(UNHEALTHY, UP, ONE_SERVES, Wanted.DRAIN, "better"),
    "it is unhealthy, and the healthy one starts": Row(UNHEALTHY, UP, ONE_STARTS, Wanted.SERVE, "last"),
    "it is unhealthy, and the only one": Row(UNHEALTHY, UP, only(Standing.UNHEALTHY), Wanted.SERVE, "last"),
    "it is unhealthy and drained, and no other is left": Row(UNHEALTHY, DRAINING, ALONE, Wanted.SERVE, "last"),
    "it is unhealthy beside a stopping one": Row(UNHEALTHY, DRAINING, only(Standing.STOPPING), Wanted.SERVE, "last"),
    "it is unhealthy from the beginning": Row(UNHEALTHY, ABSENT, ALONE, Wanted.DRAIN, "never served"),
    "it is unhealthy, and was out": Row(UNHEALTHY, OUT, ALONE, Wanted.DRAIN, "never served"),
    "it is paused beside a healthy one": Row(PAUSED, UP, ONE_SERVES, Wanted.DRAIN, "better"),
    "it is paused beside an unhealthy one": Row(PAUSED, UP, only(Standing.UNHEALTHY), Wanted.DRAIN, "better"),
    "it is paused, and the only one": Row(PAUSED, UP, only(Standing.STOPPING), Wanted.SERVE, "last"),
    "it stops beside a healthy one": Row(HEALTHY, UP, ONE_SERVES, Wanted.DRAIN, "better", TOLD),
    "it stops, and its successor starts": Row(HEALTHY, UP, ONE_STARTS, Wanted.SERVE, "last", TOLD),
    "it stops, and is the only one": Row(HEALTHY, UP, only(Standing.STOPPING), Wanted.SERVE, "last", TOLD),
    "it stops and is drained, and no other is left": Row(HEALTHY, DRAINING, ALONE, Wanted.SERVE, "last", TOLD),
    "it stops and is down, and no other is left": Row(
        HEALTHY, DRAINING_AND_DOWN, ALONE, Wanted.DRAIN, "ends soon", TOLD
    ),
    "it stops, and another that stops serves": Row(
        HEALTHY, DRAINING, only(Standing.STOPPING), Wanted.DRAIN, "ends soon", TOLD
    ),
    "it stops before it has served": Row(HEALTHY, ABSENT, ALONE, Wanted.DRAIN, "never served", TOLD),
    "it is unhealthy, and stops": Row(UNHEALTHY, UP, only(Standing.UNHEALTHY), Wanted.DRAIN, "better", TOLD),
    "it leaves its service beside a healthy one": Row(JUST_LEFT, UP, ONE_SERVES, Wanted.LEAVE, "better"),
    "it leaves, and one in its place starts": Row(JUST_LEFT, UP, ONE_STARTS, Wanted.SERVE, "last"),
    "it left long ago, and one in its place starts": Row(LEFT_LONG_AGO, UP, ONE_STARTS, Wanted.SERVE, "last"),
    "it leaves, and nothing takes its place": Row(JUST_LEFT, UP, ALONE, Wanted.SERVE, "last"),
    "it left long ago, and nothing took its place": Row(LEFT_LONG_AGO, UP, ALONE, Wanted.LEAVE, "left"),
    "it leaves, and HAProxy's check fails": Row(JUST_LEFT, DOWN, ALONE, Wanted.LEAVE, "left"),
    "it leaves before it has served": Row(JUST_LEFT, ABSENT, ALONE, Wanted.LEAVE, "never served"),
    "it leaves, and stops beside one that left": Row(JUST_LEFT, UP, only(Standing.LEFT), Wanted.DRAIN, "better", TOLD),
    "the operator drains it": Row(HEALTHY, UP, ONE_SERVES, Wanted.DRAIN, "drained", drain=BY_ADA),
    "it is drained, and no other is left": Row(HEALTHY, DRAINING, ALONE, Wanted.DRAIN, "drained", drain=BY_ADA),
    "it is drained and unhealthy": Row(UNHEALTHY, UP, ALONE, Wanted.DRAIN, "drained", drain=BY_ADA),
    "it is drained, and stops": Row(HEALTHY, UP, ALONE, Wanted.DRAIN, "drained", TOLD, BY_ADA),
    "it is drained, and leaves": Row(JUST_LEFT, UP, ALONE, Wanted.LEAVE, "drained", drain=BY_ADA),
    "it is gone": Row(None, UP, ALONE, Wanted.LEAVE, "gone"),
    "it is gone, and the one in its place starts": Row(None, UP, ONE_STARTS, Wanted.SERVE, "gone"),
    "it is gone, and was drained": Row(None, DRAINING, ONE_SERVES, Wanted.LEAVE, "gone", drain=BY_ADA),
    "it is gone, and the service keeps the last ones": Row(PREVIOUS, UP, ALONE, Wanted.SERVE, "healthy"),
    "it is gone, would be kept, and is drained": Row(PREVIOUS, UP, ALONE, Wanted.LEAVE, "gone", drain=BY_ADA),
    "it was kept, and another is there again": Row(PREVIOUS, UP, ONE_STARTS, Wanted.SERVE, "gone"),
    "a default server, and no container": Row(DEFAULT_SERVER, ABSENT, ALONE, Wanted.SERVE, "healthy"),
    "a default server, and a container starts": Row(DEFAULT_SERVER, UP, ONE_STARTS, Wanted.SERVE, "last"),
    "a default server, and a container serves": Row(DEFAULT_SERVER, UP, ONE_SERVES, Wanted.LEAVE, "better"),
    "a default server that never had to serve": Row(DEFAULT_SERVER, ABSENT, ONE_STARTS, Wanted.LEAVE, "never served"),
    "a default server beside the others": Row(KEPT_DEFAULT_SERVER, UP, ONE_SERVES, Wanted.SERVE, "healthy"),
}


@pytest.mark.parametrize("row", LIFE.values(), ids=LIFE)
def test_life_of_a_container(row: Row) -> None:
    verdict = decide(row.facts)
    assert (verdict.wanted, verdict.rule) == (row.wanted, row.rule)
    assert verdict.reason
    assert word_of(verdict.standing, row.entry)


def test_every_rule_decides_something_in_that_table() -> None:
    assert {row.rule for row in LIFE.values()} == {rule.name for rule in RULES}


def test_a_reason_says_what_an_operator_asks_for() -> None:
    drained = decide(LIFE["the operator drains it"].facts)
    assert "app1/web-1 is drained, by ada at 1970-01-0" in drained.reason
    assert "paused" in decide(LIFE["it is paused beside a healthy one"].facts).reason
    assert "60 s" in decide(LIFE["it left long ago, and nothing took its place"].facts).reason
    assert "keep_default_servers" in decide(LIFE["a default server beside the others"].facts).reason


@pytest.mark.parametrize("row", LIFE.values(), ids=LIFE)
def test_a_verdict_waits_only_for_what_is_better(row: Row) -> None:
    verdict = decide(row.facts)
    assert verdict.waits == (row.wanted is Wanted.SERVE and row.rule in ("last", "gone"))


@pytest.mark.parametrize(
    ("row", "until"),
    [
        ("it is healthy, and serves", None),
        ("it stops beside a healthy one", TOLD.until),
        ("it is paused beside a healthy one", None),
        ("it leaves, and nothing takes its place", NOW - 1 + DRAIN_TIMEOUT),
        ("it left long ago, and nothing took its place", None),
    ],
)
def test_time_alone_changes_what_is_decided_only_where_a_verdict_says_when(row: str, until: float | None) -> None:
    assert decide(LIFE[row].facts).until == until


# What holds whatever is so

conditions = st.sampled_from([None, *Condition])
states = st.sampled_from([ABSENT, UP, DOWN, DRAINING, DRAINING_AND_DOWN, OUT])


@st.composite
def entries(draw: st.DrawFn) -> Entry | None:
    condition = draw(conditions)
    if condition is None:
        return None
    since = draw(st.floats(0, NOW)) if condition is Condition.LEFT else 0.0
    return entry(condition, since=since, service=draw(st.sampled_from([SERVICE, KEEPS_DEFAULT_SERVERS])))


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """Whatever may be so of one server."""
    its, stopping = draw(entries()), draw(st.sampled_from([None, TOLD]))
    drain = draw(st.sampled_from([None, BY_ADA])) if its and not its.endpoint.given_name else None
    state = draw(states)
    plain = its is not None and is_plain(its, stopping, drain)
    others = ServiceFacts(draw(st.integers(int(plain), 3)), draw(st.sampled_from([None, *Standing])))
    served = state is not None or draw(st.booleans())
    return Facts(its, stopping, drain, state, served, draw(st.floats(0, 600)), NOW, others)


@given(facts())
def test_the_same_facts_give_the_same_verdict_with_a_reason(one: Facts) -> None:
    assert decide(one) == decide(replace(one))
    verdict = decide(one)
    assert verdict.reason
    assert verdict.rule in {rule.name for rule in RULES}


@given(facts())
def test_what_is_drained_never_serves_and_what_is_gone_only_until_it_is_replaced(one: Facts) -> None:
    if one.entry is None or one.drain:
        verdict = decide(one)
        replaced = one.service.best is not None and one.service.best < Standing.GONE
        until_then = one.service.healthy and not replaced and one.state and one.state.usable
        assert verdict.wanted is not Wanted.SERVE or (verdict.standing is Standing.GONE and until_then)


@given(facts())
def test_what_is_healthy_and_nothing_speaks_against_serves(one: Facts) -> None:
    if one.entry and is_plain(one.entry, one.stopping, one.drain):
        assert decide(one).wanted is Wanted.SERVE


@given(facts())
def test_an_unhealthy_one_that_served_goes_on_while_no_better_is_usable(one: Facts) -> None:
    verdict = decide(one)
    better = one.service.best is not None and one.service.best < Standing.UNHEALTHY
    was_in = one.served and not (one.state and one.state.admin == MAINT)
    if verdict.standing is Standing.UNHEALTHY and was_in and not better:
        assert verdict.wanted is Wanted.SERVE


@given(facts())
def test_what_is_worse_than_a_usable_server_does_not_serve(one: Facts) -> None:
    verdict = decide(one)
    if one.service.best is not None and one.service.best < verdict.standing:
        assert verdict.wanted is not Wanted.SERVE


@given(facts())
def test_what_is_of_its_service_is_drained_and_never_taken_out(one: Facts) -> None:
    if one.entry and one.entry.condition in (Condition.HEALTHY, Condition.UNHEALTHY, Condition.PAUSED):
        assert decide(one).wanted in (Wanted.SERVE, Wanted.DRAIN)


@given(facts(), st.floats(0, 1))
def test_until_the_time_that_it_names_a_verdict_stays(one: Facts, part: float) -> None:
    verdict = decide(one)
    if verdict.until is not None:
        assert verdict.until > one.now
    end = one.now + 10_000 if verdict.until is None else verdict.until
    later = one.now + part * (end - one.now)
    if later < end:
        assert decide(replace(one, now=later)).wanted is verdict.wanted


# A service whose servers are made as was decided, again and again


@dataclass(frozen=True)
class Simulated:
    """A server of a simulated HAProxy, and what is so of it."""

    entry: Entry | None
    stopping: Stopping | None
    drain: Drain | None
    passes: bool
    state: ServerState | None


@st.composite
def simulated(draw: st.DrawFn) -> Simulated:
    one, passes = draw(facts()), draw(st.booleans())
    its = one.entry and replace(one.entry, service=SERVICE)
    admin = draw(st.sampled_from([None, READY, DRAIN, MAINT]))
    return Simulated(its, one.stopping, one.drain, passes, server(admin, passes=passes))


def decided(servers: list[Simulated]) -> list[Verdict]:
    """What is wanted of each, as a snapshot finds it."""
    healthy = sum(one.entry is not None and is_plain(one.entry, one.stopping, one.drain) for one in servers)
    standings = [standing_of(one.entry, one.stopping, one.drain, healthy) for one in servers]
    best = best_of(zip(standings, (one.state for one in servers), strict=True))
    others = ServiceFacts(healthy, best)
    return [
        decide(Facts(one.entry, one.stopping, one.drain, one.state, one.state is not None, DRAIN_TIMEOUT, NOW, others))
        for one in servers
    ]


def done(servers: list[Simulated]) -> list[Simulated]:
    """The next step of each, by the commands that a sync and the watcher give."""
    told = {ADDED: READY, READIED: READY, DRAINED: DRAIN, REMOVED: MAINT, DELETED: None}
    after = []
    for one, verdict in zip(servers, decided(servers), strict=True):
        wanted = Server("web", "server", "127.0.0.1", 49153, "check", "check")
        change = step(verdict.wanted.value, wanted, one.state, DRAIN_TIMEOUT)
        admin = told[change.kind] if change else one.state.admin if one.state else None
        after.append(replace(one, state=server(admin, passes=one.passes)))
    return after


@given(st.lists(simulated(), min_size=1, max_size=5))
def test_what_is_done_as_was_decided_comes_to_rest(servers: list[Simulated]) -> None:
    for _ in range(8):
        before, servers = servers, done(servers)
    assert servers == before


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.lists(simulated(), min_size=1, max_size=5))
def test_a_service_is_not_left_without_a_server_that_could_serve(servers: list[Simulated]) -> None:
    may_leave = (None, Condition.LEFT, Condition.PREVIOUS)
    assume(
        any(
            one.state and one.state.passes and one.entry and one.entry.condition not in may_leave and not one.drain
            for one in servers
        )
    )
    for _ in range(8):
        servers = done(servers)
        assert any(one.state and one.state.passes for one in servers)
    assert any(one.state and one.state.usable for one in servers)


@given(st.lists(simulated(), min_size=2, max_size=4))
def test_the_order_of_the_servers_does_not_matter(servers: list[Simulated]) -> None:
    expected = dict(enumerate(decided(servers)))
    for order in permutations(range(len(servers))):
        assert dict(zip(order, decided([servers[number] for number in order]), strict=True)) == expected
