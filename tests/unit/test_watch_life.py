"""The life of a container of a simulated Docker host, and its server in a real HAProxy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from dockmaster import status
from dockmaster.state import stopping
from dockmaster.watch.session import ALONE
from dockmaster.watch.timers import Timers
from waiting import until
from watching import Watched, container_id

Start = Callable[[], None]


def test_simulated_start_brings_traffic_only_once_the_check_passes(watching: Watched) -> None:
    web = watching.web()
    web.status = 500
    watching.start(3, web)
    until(lambda: [one.status for one in watching.servers(3)] == ["DOWN"])
    assert [watching.ask() for _ in range(6)] == [200] * 6
    assert web.served == 0
    web.status = 200
    watching.up(3)
    until(lambda: watching.ask() == 200 and web.served)


def test_simulated_container_with_a_healthcheck_waits_until_it_is_healthy(watching: Watched) -> None:
    web = watching.start(3, status="Up 1 second (health: starting)")
    asked = len(watching.api.requests)
    until(lambda: len(watching.api.requests) > asked + 1)
    watching.run(3, web, status="Up 2 seconds (healthy)")
    assert watching.servers(3) == []
    watching.event(3, "health_status: healthy")
    watching.up(3)


def test_unhealthy_simulated_container_is_drained_until_it_is_healthy(watching: Watched) -> None:
    web = watching.start(3, status="Up 1 second (healthy)")
    watching.up(3)
    watching.run(3, web, status="Up 2 seconds (unhealthy)")
    watching.event(3, "health_status: unhealthy")
    watching.is_told(3, "drain")
    watching.run(3, web, status="Up 3 seconds (healthy)")
    watching.event(3, "health_status: healthy")
    watching.up(3)


@pytest.mark.parametrize("signal", ["15", "9", "3", "TERM", "", "x" * 100])
def test_simulated_kill_drains_at_once(watching: Watched, signal: str) -> None:
    watching.event(1, "kill", signal=signal)
    watching.is_told(1, "drain")
    # Syncs know it as well.
    told = ("localhost", container_id(1))
    until(lambda: told in stopping.load(watching.settings.haproxy.run_directory, 30))


def test_open_requests_finish_after_a_simulated_kill(watching: Watched, around: Watched) -> None:
    web = around.web()
    watching.start(3, web)
    watching.up(3)
    watching.event(1, "kill", signal="15")
    watching.event(2, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.is_told(2, "drain")
    web.held.clear()
    statuses: list[int] = []
    client = threading.Thread(target=lambda: statuses.append(watching.ask()))
    client.start()
    until(lambda: web.served)
    watching.start(4)
    watching.up(4)
    watching.event(3, "kill", signal="15")
    watching.is_told(3, "drain")
    assert watching.ask() == 200
    web.held.set()
    client.join(20)
    assert (statuses, web.served) == ([200], 1)


def test_simulated_container_that_outlives_stop_grace_gets_traffic_again(around: Watched, start_haproxy: Start) -> None:
    around.plain["watch"]["stop_grace"] = 1
    around.begin(start_haproxy, 1, 2)
    around.event(1, "kill", signal="15")
    around.is_told(1, "drain")
    around.up(1)
    around.said("change=readied", 'cause="it still runs after stop_grace"')
    # No container is stopping any more.
    until(lambda: not stopping.load(around.settings.haproxy.run_directory, 1))


@pytest.mark.parametrize("signal", ["1", "10", "12", "28"])
def test_simulated_signal_that_stops_nothing_drains_nothing(watching: Watched, signal: str) -> None:
    watching.event(1, "kill", signal=signal)
    # A later event is applied, so this one was ignored.
    watching.event(2, "kill", signal="15")
    watching.is_told(2, "drain")
    assert watching.told(1) == "ready"


def test_simulated_signal_of_stop_signals_drains(around: Watched, start_haproxy: Start) -> None:
    around.service["discovery"]["stop_signals"] = ["USR1", 3]
    around.begin(start_haproxy, 1, 2, 3)
    around.event(1, "kill", signal="15")
    around.event(2, "kill", signal="10")
    around.is_told(2, "drain")
    assert around.told(1) == "ready"


def test_forged_signal_of_a_simulated_event_only_delays_the_drain(watching: Watched) -> None:
    """A label named "signal" overwrites the signal of the event."""
    watching.event(1, "kill", signal="28")
    watching.gone(1)
    watching.event(1, "die", signal="28")
    watching.is_told(1, "maint")


def test_paused_simulated_container_is_drained_until_it_is_unpaused(watching: Watched) -> None:
    port = watching.servers(1)[0].port
    watching.gone(1)
    web = watching.web()
    web.port = port
    watching.run(1, web, state="paused", status="Up 1 second (Paused)")
    watching.event(1, "pause")
    watching.is_told(1, "drain")
    watching.run(1, web)
    watching.event(1, "unpause")
    watching.up(1)


@pytest.mark.parametrize("action", ["die", "stop", "destroy"])
def test_simulated_end_removes_the_server_at_once_whatever_the_list_says(watching: Watched, action: str) -> None:
    watching.event(1, action)
    watching.is_told(1, "maint")
    watching.gone(1)
    watching.said("change=removed", f"cause={action}", "after_ms=")


def test_simulated_restart_on_another_port_is_another_server(watching: Watched) -> None:
    before = watching.servers(1)[0].name
    watching.event(1, "kill", signal="15")
    watching.event(1, "die")
    watching.event(1, "stop")
    watching.start(1)
    watching.event(1, "restart")
    until(lambda: [one.name for one in watching.servers(1) if one.usable] not in ([], [before]))
    assert {one.name: one.admin for one in watching.servers(1)}[before] == "maint"


def test_simulated_reconnection_to_a_network_changes_the_port(watching: Watched) -> None:
    before = watching.servers(1)[0].name
    watching.api.containers[0]["Ports"] = []
    watching.event(1, "disconnect")
    watching.is_told(1, "maint")
    watching.run(1)
    watching.event(1, "connect")
    until(lambda: [one.name for one in watching.servers(1) if one.usable] not in ([], [before]))


def test_unhealthy_simulated_containers_all_serve_if_none_is_healthy(watching: Watched) -> None:
    for raw in watching.api.containers:
        raw["Status"] = "Up 3 seconds (unhealthy)"
    for number in (1, 2):
        watching.event(number, "health_status: unhealthy")
    # No container is healthy, so all whose checks pass serve.
    until(lambda: [one.state for one in status.of(watching.settings).servers] == ["unhealthy"] * 2)
    until(lambda: [watching.told(1), watching.told(2)] == ["ready", "ready"])
    assert watching.ask() == 200
    assert watching.sync().applied.action in ("none", "write")
    assert [watching.told(1), watching.told(2)] == ["ready", "ready"]
    for raw in watching.api.containers:
        raw["Status"] = "Up 4 seconds (healthy)"
    for number in (1, 2):
        watching.event(number, "health_status: healthy")
    watching.up(1, 2)


def test_last_simulated_container_serves_until_it_is_dead(watching: Watched) -> None:
    watching.gone(2)
    watching.event(2, "die")
    watching.is_told(2, "maint")
    watching.event(1, "kill", signal="15")
    until(lambda: stopping.load(watching.settings.haproxy.run_directory, 30))
    assert watching.ask() == 200
    watching.gone(1)
    watching.event(1, "die")
    watching.is_told(1, "maint")
    assert watching.ask() == 503


def test_last_stopping_simulated_container_is_drained_once_another_serves(watching: Watched) -> None:
    watching.gone(2)
    watching.event(2, "die")
    watching.event(1, "kill", signal="15")
    watching.is_told(2, "maint")
    watching.start(3)
    watching.up(3)
    watching.is_told(1, "drain")
    watching.said("change=drained", 'cause="another server is usable"')


def test_unhealthy_server_serves_when_the_last_other_simulated_one_dies(watching: Watched) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.gone(2)
    watching.event(2, "die")
    watching.is_told(2, "maint")
    watching.is_told(1, "ready")
    assert watching.ask() == 200
    watching.said("change=readied", 'cause="no other server is usable"')
    watching.start(3)
    watching.up(3)
    watching.is_told(1, "drain")


def test_unhealthy_server_serves_when_the_check_of_the_last_other_one_fails(watching: Watched) -> None:
    other = watching.start(3)
    watching.up(3)
    for number in (1, 2):
        watching.event(number, "kill", signal="15")
        watching.is_told(number, "drain")
    other.status = 500
    until(lambda: watching.ask() == 200)
    until(lambda: [watching.told(1), watching.told(2)] == ["ready", "ready"])
    other.status = 200
    until(lambda: [watching.told(1), watching.told(2)] == ["drain", "drain"])


def test_settled_watcher_has_nothing_due(watching: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.gone(2)
    watching.event(2, "die")
    watching.is_told(1, "ready")
    watching.start(3)
    watching.up(3)
    watching.gone(1)
    watching.event(1, "die")
    watching.is_told(1, "maint")
    waits: list[float] = []
    wait, begun = Timers.wait, time.monotonic()

    def noted(agenda: Timers, longest: float) -> float:
        waits.append(wait(agenda, longest))
        return waits[-1]

    monkeypatch.setattr(Timers, "wait", noted)
    # Not even after repeated timers were due twice.
    until(lambda: len(waits) > 3 and min(waits[-3:]) > 0 and time.monotonic() > begun + 2 * ALONE)


def test_simulated_event_is_applied_fast(watching: Watched) -> None:
    begun = time.monotonic()
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    assert time.monotonic() - begun < 2
