"""Docker hosts that are slow, silent, gone or back: simulated ones, before a watcher on a real HAProxy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from docker_api import simulated_docker
from dockmaster import state
from waiting import until
from watching import Watched, container_id, entry

Start = Callable[[], None]
CUT = b""


@pytest.mark.parametrize("how", [None, CUT], ids=["ends cleanly", "is cut"])
def test_what_happened_while_a_simulated_stream_was_away_is_found(watching: Watched, how: bytes | None) -> None:
    watching.gone(1)
    watching.run(3)
    watching.api.say(how)
    watching.is_told(1, "maint")
    watching.up(2, 3)
    until(lambda: len(watching.api.streams) == 1)
    watching.event(2, "kill", signal="15")
    watching.is_told(2, "drain")


def test_a_simulated_stream_that_stalls_silently_is_noticed(around: Watched, start_haproxy: Start) -> None:
    around.plain["watch"]["resync_interval"] = 1
    around.begin(start_haproxy, 1, 2)
    stalled = around.api.streams[0]
    around.gone(1)
    around.run(3)
    around.is_told(1, "maint")
    around.up(3)
    until(lambda: any(stream is not stalled for stream in around.api.streams))


def test_a_simulated_host_that_hangs_keeps_its_servers_and_is_taken_up_again(
    around: Watched, start_haproxy: Start
) -> None:
    around.begin(start_haproxy, 1)
    around.api.status = 500
    around.api.say(None)
    around.said("docker_host=localhost", "state=unknown", "status 500")
    assert around.told(1) == "ready"
    around.run(2)
    around.api.status = 200
    around.up(1, 2)
    around.said("docker_host=localhost", "state=answers")
    assert len([line for line in around.log if "state=unknown" in line]) == 1


def test_a_host_that_is_silent_at_the_start_keeps_what_was_last_known_of_it(
    around: Watched, start_haproxy: Start
) -> None:
    around.run(1)
    around.run(2)
    around.first_pass()
    start_haproxy()
    around.api.status = 500
    around.watch()
    around.up(1, 2)
    assert around.sync_fails()
    around.gone(2)
    around.api.status = 200
    around.is_told(2, "maint")
    assert around.told(1) == "ready"


def test_a_simulated_host_is_taken_up_soon_after_it_is_back(
    around: Watched, start_haproxy: Start, free_port: Callable[[], int]
) -> None:
    port = free_port()
    around.service["discovery"]["servers"][0]["port"] = port
    web = around.web()
    state.save(around.settings.haproxy.state_file, {"web": []})
    around.write()
    with simulated_docker(port) as before:
        before.containers = [entry(1, web.port)]
        around.first_pass()
        start_haproxy()
        around.watch()
        around.up(1)
        before.say(CUT)
    around.said("docker_host=localhost", "state=unknown")
    with simulated_docker(port) as back:
        back.containers = [entry(1, web.port), entry(2, web.port)]
        begun = time.monotonic()
        around.up(1, 2)
        assert time.monotonic() - begun < 10
        around.stop()


def test_an_end_between_subscribing_and_listing_is_not_lost(around: Watched, start_haproxy: Start) -> None:
    """The simulated list still has a container whose end was told while it was made."""
    around.run(1)
    around.run(2)
    around.first_pass()
    start_haproxy()

    def end() -> None:
        around.api.listing = lambda: None
        until(lambda: around.api.streams)
        around.gone(1)
        around.event(1, "die")

    around.api.listing = end
    around.watch()
    around.is_told(1, "maint")
    around.up(2)


def test_a_kill_between_subscribing_and_listing_is_not_lost(around: Watched, start_haproxy: Start) -> None:
    around.run(1)
    around.run(2)
    around.first_pass()
    start_haproxy()

    def kill() -> None:
        around.api.listing = lambda: None
        until(lambda: around.api.streams)
        around.event(1, "kill", signal="15")

    around.api.listing = kill
    around.watch()
    around.is_told(1, "drain")
    around.up(2)


def test_two_simulated_hosts_may_have_containers_of_one_short_id(around: Watched, start_haproxy: Start) -> None:
    with simulated_docker() as other:
        around.service["discovery"]["servers"] = [
            {"name": "one", "host": "127.0.0.1", "port": around.api.port},
            {"name": "two", "host": "127.0.0.1", "port": other.port},
        ]
        web = around.run(1)
        other.containers = [entry(1, web.port)]
        around.first_pass()
        start_haproxy()
        around.watch()
        until(lambda: [around.told(1, f"{host}_") for host in ("one", "two")] == ["ready", "ready"])
        until(lambda: around.runtime.usable_servers("web") == 2)
        other.event(container_id(1), "kill", signal="15")
        around.is_told(1, "drain", host="two_")
        assert around.told(1, host="one_") == "ready"
        around.stop()


def test_a_host_that_leaves_the_configuration_is_drained_and_out(around: Watched, start_haproxy: Start) -> None:
    with simulated_docker() as other:
        servers = [
            {"name": "one", "host": "127.0.0.1", "port": around.api.port},
            {"name": "two", "host": "127.0.0.1", "port": other.port},
            {"name": "three", "host": "127.0.0.1", "port": around.api.port},
        ]
        around.service["discovery"]["servers"] = servers
        web = around.run(1)
        other.containers = [entry(2, web.port)]
        around.first_pass()
        start_haproxy()
        around.watch()
        until(lambda: around.runtime.usable_servers("web") == 3)
        servers.pop(1)
        around.write()
        around.is_told(2, "maint", host="two_")
        until(lambda: around.runtime.usable_servers("web") == 2)
        around.stop()


def test_two_simulated_containers_of_one_short_id_end_nothing(watching: Watched) -> None:
    """No engine makes such, and one that is not an engine may say so."""
    web = watching.web()
    twin = container_id(1)[:12] + "f" * 52
    port = watching.servers(1)[0].port
    watching.api.containers.append({**entry(1, port), "Id": twin})
    watching.api.event(twin, "start")
    watching.start(3, web)
    watching.up(3)
    watching.api.containers = [one for one in watching.api.containers if one["Id"] != container_id(1)]
    watching.event(1, "die")
    watching.api.containers = [one for one in watching.api.containers if one["Id"] != twin]
    watching.api.event(twin, "die")
    watching.is_told(1, "maint")
    watching.event(3, "die")
    watching.is_told(3, "maint")


def test_a_burst_of_simulated_events_is_worked_off(around: Watched, start_haproxy: Start) -> None:
    # Three hundred checks by HTTP are more than one web server of this kind can answer.
    around.service["haproxy"]["listen"] = ["mode http"]
    web = around.run(1)
    around.run(2, web)
    around.first_pass()
    start_haproxy()
    around.watch()
    ids = [f"{number:03x}" * 21 + "0" for number in range(0x100, 0x100 + 300)]
    more: list[dict[str, Any]] = [{**entry(9, web.port), "Id": one} for one in ids]
    around.api.containers = [*around.api.containers, *more]
    for one in ids:
        around.api.event(one, "start")
    until(lambda: around.runtime.usable_servers("web") == 302, 30)
    around.api.containers = around.api.containers[:2]
    for one in ids:
        around.api.event(one, "die")
    until(lambda: around.runtime.usable_servers("web") == 2, 30)
    around.up(1, 2)
