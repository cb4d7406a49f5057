"""What the watcher does to HAProxy's servers besides following Docker, with a scripted runtime socket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dockmaster.errors import RuntimeApiError, RuntimeApiSilent
from dockmaster.haproxy.commands import Change
from dockmaster.haproxy.runtime import Runtime
from dockmaster.haproxy.servers import Server
from dockmaster.watch.servers import FIRST_CHECKS, STAYS_DOWN, Cause, HAProxyServers
from scripted_haproxy import ScriptedHAProxy, scripted_haproxy

OPTIONS = "check inter 2s downinter 1s fall 2 rise 1"
CAUSE = Cause("test")
KEY = ("web", "a")
SERVER = Server("web", "a", "127.0.0.1", 49001, OPTIONS, OPTIONS)


@pytest.fixture
def haproxy(folder: Path) -> Iterator[ScriptedHAProxy]:
    with scripted_haproxy(folder / "s") as scripted:
        yield scripted


@pytest.fixture
def done() -> list[Change]:
    return []


@pytest.fixture
def servers(haproxy: ScriptedHAProxy, done: list[Change]) -> HAProxyServers:
    made = HAProxyServers(Runtime(str(haproxy.path)), 5, 60, lambda change, _: done.append(change))
    made.learn()
    return made


def added(haproxy: ScriptedHAProxy) -> list[str]:
    return [command for command in haproxy.commands if command.startswith("add server")]


@pytest.mark.parametrize("cut", [0, 40, 300])
def test_truncated_answer_of_a_scripted_haproxy_is_no_answer(
    haproxy: ScriptedHAProxy, servers: HAProxyServers, cut: int
) -> None:
    servers.serve(SERVER, CAUSE)
    haproxy.cut = cut
    with pytest.raises(RuntimeApiError):
        Runtime(str(haproxy.path)).servers()
    haproxy.cut = 0
    with pytest.raises(RuntimeApiSilent):
        servers.change(KEY, "remove", CAUSE)
    haproxy.cut = None
    servers.change(KEY, "remove", CAUSE)
    assert haproxy.servers[KEY] == "maint"


def test_server_that_a_sync_deleted_on_a_scripted_haproxy_is_forgotten(
    haproxy: ScriptedHAProxy, servers: HAProxyServers
) -> None:
    servers.serve(SERVER, CAUSE)
    servers.change(KEY, "remove", CAUSE)
    del haproxy.servers[KEY]
    assert not servers.sweep(lambda _: True, CAUSE)
    servers.serve(SERVER, CAUSE)
    assert haproxy.servers[KEY] == "ready"


def test_returning_server_on_a_scripted_haproxy_2_6_is_checked_as_new(
    haproxy: ScriptedHAProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockmaster.watch.servers.LOOKING", 0)
    haproxy.help = haproxy.help.replace("  wait ", "  await ")
    servers = HAProxyServers(Runtime(str(haproxy.path)), 5, 60, lambda *_: None)
    servers.learn()
    servers.serve(SERVER, CAUSE)
    servers.change(KEY, "remove", CAUSE)
    servers.serve(SERVER, CAUSE)
    haproxy.down, haproxy.since = {KEY}, STAYS_DOWN
    assert servers.slow_down(CAUSE) == 0
    assert servers.slow_down(CAUSE) == 1


def test_scripted_haproxy_checks_a_new_server_often_until_it_stays_down(
    haproxy: ScriptedHAProxy, servers: HAProxyServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockmaster.watch.servers.LOOKING", 0)
    servers.serve(SERVER, CAUSE)
    assert added(haproxy)[-1].endswith("downinter 5ms")
    haproxy.down, haproxy.since = {KEY}, STAYS_DOWN - 1
    assert servers.slow_down(CAUSE) == 0
    assert servers.slow_down(CAUSE) == 0
    assert len(added(haproxy)) == 1
    haproxy.since = STAYS_DOWN
    assert servers.slow_down(CAUSE) == 0
    assert added(haproxy)[1:] == [f"add server web/a 127.0.0.1:49001 {OPTIONS}"]
    assert haproxy.servers == {KEY: "ready"}
    # It is not new any more.
    assert servers.slow_down(CAUSE) == 0
    assert len(added(haproxy)) == 2


def test_scripted_haproxy_checks_each_of_many_new_servers_less_often(
    haproxy: ScriptedHAProxy, servers: HAProxyServers
) -> None:
    for number in range(100):
        servers.serve(replace(SERVER, name=f"s{number}"), CAUSE)
    assert added(haproxy)[0].endswith("downinter 5ms")
    assert added(haproxy)[-1].endswith(f"downinter {100 // FIRST_CHECKS}ms")


def test_scripted_haproxy_is_asked_for_all_servers_only_if_new_ones_are_down(
    haproxy: ScriptedHAProxy, servers: HAProxyServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockmaster.watch.servers.LOOKING", 1e6)
    asked: list[str] = []
    answer = haproxy.answer

    def heard(command: str) -> str:
        asked.append(command)
        return answer(command)

    monkeypatch.setattr(haproxy, "answer", heard)
    servers.serve(SERVER, CAUSE)
    del asked[:]
    assert servers.slow_down(CAUSE) == 0
    assert asked == ["show stat -1 2 -1"]
    haproxy.down, haproxy.since = {KEY}, 1
    assert servers.slow_down(CAUSE) == 0
    assert "show servers state web" not in asked
    assert servers.slow_down(CAUSE) == 0
    assert "show servers state web" in asked
    del asked[:]
    haproxy.since = STAYS_DOWN
    assert servers.slow_down(CAUSE) == 0
    assert asked == []


def test_dead_servers_of_a_scripted_haproxy_that_cannot_delete_are_counted(
    haproxy: ScriptedHAProxy, servers: HAProxyServers
) -> None:
    haproxy.help = haproxy.help.replace("  wait ", "  hold ")
    servers.learn()
    servers.serve(SERVER, CAUSE)
    haproxy.down, haproxy.since = {KEY}, STAYS_DOWN
    assert servers.slow_down(CAUSE) == 0
    assert servers.slow_down(CAUSE) == 1
    assert len(added(haproxy)) == 1
    haproxy.down = set()
    assert servers.slow_down(CAUSE) == 0


def test_scripted_drain_ends_after_drain_timeout_with_a_reason(
    haproxy: ScriptedHAProxy, servers: HAProxyServers, done: list[Change]
) -> None:
    servers.serve(SERVER, CAUSE)
    haproxy.sessions, haproxy.since = 2, 0
    servers.change(KEY, "leave", CAUSE)
    assert haproxy.servers[KEY] == "drain"
    assert servers.sweep(lambda _: True, CAUSE)
    assert haproxy.servers[KEY] == "drain"
    haproxy.since = 61
    servers.sweep(lambda _: True, CAUSE)
    assert haproxy.servers[KEY] == "maint"
    assert done[-1].reason == "2 requests under way after 60 s of drain_timeout"
    # Its sessions go on, and keep it until they end.
    assert servers.sweep(lambda _: True, CAUSE)
    assert KEY in haproxy.servers
    haproxy.sessions = 0
    assert not servers.sweep(lambda _: True, CAUSE)
    assert KEY not in haproxy.servers
