"""The simulated HAProxy answers as a real one does."""

from __future__ import annotations

import pytest

from tests.simulation.contract import Both, Ports, new_server


def test_what_the_file_says_is_there(both: Both) -> None:
    both.look()
    both.wait_for("first", "UP")
    assert both.servers() == {
        ("web", "first"): "UP",
        ("web", "second"): "UP 1/3",
        ("web", "quick"): "UP 1/3",
        ("web", "more1"): "no check",
        ("web", "more2"): "no check",
        ("tcp", "held"): "no check",
        ("fixed", "one"): "MAINT",
    }


def test_a_server_is_added_and_serves_once_its_check_passes(both: Both, ports: Ports) -> None:
    both.say(new_server(ports, "alive", live=True))
    both.say(new_server(ports, "dead", live=False))
    both.look()
    both.wait_for("alive", "UP")
    both.wait_for("dead", "DOWN")
    both.look()
    both.say(f"set server web/dead addr 127.0.0.1 port {ports.live}")
    both.wait_for("dead", "UP")
    both.look()


def test_a_check_has_to_pass_and_to_fail_as_often_as_the_line_says(both: Both, ports: Ports) -> None:
    # The interval in between is so long that both stay where one check has brought them.
    often = " inter 20ms fastinter 1h rise 2 fall 3"
    both.say(new_server(ports, "one", live=True, more=often))
    both.wait_for("one", "DOWN 1/2")
    both.look()
    both.say("set server web/one health up")
    both.say(f"set server web/one addr 127.0.0.1 port {ports.dead}")
    both.look()
    both.say(new_server(ports, "two", live=True, more=" inter 20ms fastinter 1h fall 3"))
    both.wait_for("two", "UP")
    both.say(f"set server web/two addr 127.0.0.1 port {ports.dead}")
    both.wait_for("two", "UP 2/3")
    both.look()


def test_states_and_health_are_told(both: Both) -> None:
    both.look()
    for server in ("web/first", "web/second", "web/more1", "fixed/one"):
        for told in ("state drain", "health down", "state ready", "health up", "state maint", "health down"):
            both.say(f"set server {server} {told}")
            both.look()
        for told in ("drain", "maint", "ready"):
            both.say(f"set server {server} state {told}")
            both.look()
    for weight in (0, 40):
        both.say(f"set server web/first weight {weight}")
        both.look()


def test_a_server_in_maintenance_leaves_it_as_one_that_is_up(both: Both, ports: Ports) -> None:
    both.say(new_server(ports, "dead", live=False, more=" downinter 1h"))
    both.say("set server web/dead state maint")
    both.look()
    both.say("set server web/dead state ready")
    assert both.servers()["web", "dead"] == "UP 1/3"


def test_servers_without_a_check_and_with_an_agent(both: Both, ports: Ports) -> None:
    both.say(f"add server web/plain 127.0.0.1:{ports.live} backup; set server web/plain state ready")
    agent = f"add server web/asked 127.0.0.1:{ports.live} agent-check agent-port {ports.dead} agent-inter 1h"
    both.say(f"{agent}; enable agent web/asked; set server web/asked agent up; set server web/asked state ready")
    both.look()
    assert both.servers()["web", "plain"] == "no check"


def test_what_is_wrong_is_refused_in_the_same_words(both: Both, ports: Ports) -> None:
    address = f"127.0.0.1:{ports.live}"
    both.say(f"add server web/new {address}")
    for line in (
        f"add server web/first {address}",
        f"add server web/new {address} check",
        f"add server nowhere/new {address}",
        f"add server fixed/new {address}",
        f"add server web/odd {address} zork",
        f"add server web/odd {address} init-addr none",
        f"add server web/odd {address} cookie odd; set server web/odd state ready",
        "del server web/first",
        "del server web/nobody",
        "del server nowhere/nobody",
        "enable health web/nobody",
        "enable health web/new",
        "enable agent web/new",
        "enable agent web/nobody",
        "set server web/new agent up",
        "set server web/nobody state ready",
        "set server web/nobody addr 127.0.0.1 port 1",
        "set server web/first state up",
    ):
        both.say(line)
    both.look()


def test_a_server_moves(both: Both, ports: Ports) -> None:
    for to in (f"127.0.0.1 port {ports.dead}", "127.0.0.2 port 7", "127.0.0.2 port 7", "127.0.0.3 port 7", "127.0.0.3"):
        both.say(f"set server web/first addr {to}")
    both.look()


def test_a_server_in_maintenance_is_deleted_and_may_come_again(both: Both, ports: Ports) -> None:
    both.say(new_server(ports, "new", live=True))
    both.say("del server web/new")
    both.say("set server web/new state maint; del server web/new; del server web/new")
    both.look()
    both.say("set server web/first state maint; del server web/first")
    both.say(new_server(ports, "new", live=True))
    both.wait_for("new", "UP")
    both.look()


def test_a_server_with_a_connection_is_not_deleted(both: Both, ports: Ports) -> None:
    held = both.simulated.server("tcp", "held")
    assert held
    with both.real.connected(ports.front):
        held.sessions = held.requests = 1
        both.look()
        both.say("set server tcp/held state maint; del server tcp/held")
        both.look()


@pytest.mark.parametrize("told", ["drain", "maint"])
def test_since_when_a_server_is_as_it_is(both: Both, told: str) -> None:
    both.wait_for("first", "UP")
    both.wait_until_old("first", 3)
    both.say(f"set server web/first state {told}")
    real, simulated = both.since("first")
    assert abs(real - simulated) <= 1


def test_a_reload_forgets_what_was_told_and_counts_every_server_as_up(both: Both, ports: Ports) -> None:
    both.say(new_server(ports, "new", live=True))
    both.say("set server web/first state maint; set server web/more1 state drain; set server web/second health down")
    both.real.reload()
    assert both.simulated.reload()
    both.look()
    assert both.servers()["web", "second"] == "UP 1/3"
    assert ("web", "new") not in both.servers()
