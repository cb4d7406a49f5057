"""Whose a server is: the operator's own in a section of ours are left alone. HAProxy is real, Docker is simulated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from conftest import TEMPLATE
from dockmaster import drain, sync
from dockmaster.drain import Target
from dockmaster.haproxy.apply import RELOAD
from dockmaster.haproxy.runtime import DRAIN, MAINT, READY
from dockmaster.state import last_known
from waiting import until
from watching import Start, Watched

LINES = (
    "server mine 127.0.0.1:{port}",
    "server 0123456789ab_8080 127.0.0.1:{port}",
    "server-template pool- 2-3 127.0.0.1:{port}",
    "server-template fedcba987654_ 2 127.0.0.1:{port}",
    'server "0123456789ab_8081" 127.0.0.1:{port}',
    'server-template "fedcba987654_" "8-9" 127.0.0.1:{port}',
)
THEIRS = {"mine", "pool-2", "pool-3"}
THEIRS |= {"0123456789ab_8080", "0123456789ab_8081", *(f"fedcba987654_{number}" for number in (1, 2, 8, 9))}
"""The servers of these lines: some are called as we call containers."""


@pytest.fixture(params=["listen", "backend"])
def around(around: Watched, request: pytest.FixtureRequest) -> Watched:
    """Everything around a watcher; the operator has servers of his own in ``listen`` or in ``backend``."""
    port = around.web().port
    proxy = around.service["haproxy"]
    proxy[request.param] = [*proxy.get(request.param, ()), *(line.format(port=port) for line in LINES)]
    around.write()
    return around


def told(around: Watched) -> dict[str, str]:
    """What HAProxy was told of each server."""
    return {server.name: server.admin for server in around.runtime.servers("web")}


def theirs_serve(around: Watched) -> None:
    """The operator's servers are as he wrote them, and HAProxy uses them."""
    usable = {server.name for server in around.runtime.servers("web") if server.usable}
    assert usable >= THEIRS
    assert around.ask() == 200


def is_out(around: Watched, name: str) -> bool:
    return told(around).get(name, MAINT) == MAINT


def synced(around: Watched, **options: Any) -> sync.Report:
    """A sync; it changes none of the operator's servers."""
    report = sync.run(around.settings, TEMPLATE.read_bytes().decode(), **options)
    assert not THEIRS & {change.server[1] for change in report.applied.changes}
    return report


def test_syncs_leave_the_operators_servers_alone_as_containers_come_and_go(
    around: Watched, start_haproxy: Start
) -> None:
    around.run(1)
    around.first_pass()
    start_haproxy()
    around.up(1)
    theirs_serve(around)
    around.run(2)
    synced(around)
    around.up(1, 2)
    for number in (1, 2):
        around.gone(number)
    synced(around)
    until(lambda: synced(around).applied.action == "none")
    assert {name for name, what in told(around).items() if what == READY} == THEIRS
    theirs_serve(around)


def test_the_watcher_leaves_the_operators_servers_alone_as_containers_come_and_go(
    around: Watched, start_haproxy: Start
) -> None:
    around.begin(start_haproxy, 1)
    theirs_serve(around)
    around.start(2)
    around.up(1, 2)
    for number in (1, 2):
        around.event(number, "kill", signal="15")
        around.is_told(number, "drain")
        around.gone(number)
        around.event(number, "die")
        around.is_told(number, "maint")
    theirs_serve(around)
    around.stop()
    assert not [line for line in around.log for name in THEIRS if f"server={name} " in line]
    assert synced(around).applied.action in ("none", "write")


def test_they_serve_also_after_a_reload_and_without_any_container(around: Watched, start_haproxy: Start) -> None:
    around.begin(start_haproxy, 1)
    assert synced(around, renew=True).applied.action == RELOAD
    theirs_serve(around)
    around.gone(1)
    around.event(1, "die")
    around.is_told(1, "maint")
    assert synced(around, renew=True).applied.action == RELOAD
    until(lambda: told(around) == dict.fromkeys(THEIRS, READY))
    around.said("haproxy=", "another worker runs")
    around.start(2)
    around.up(2)
    theirs_serve(around)


def test_what_the_operator_tells_his_own_servers_stays_so(around: Watched, start_haproxy: Start) -> None:
    around.begin(start_haproxy, 1)
    around.runtime.change(["set server web/0123456789ab_8080 state maint"])
    around.runtime.change(["set server web/fedcba987654_1 state drain"])
    around.start(2)
    around.up(2)
    synced(around)
    around.gone(1)
    around.event(1, "die")
    around.is_told(1, "maint")
    synced(around)
    now = told(around)
    assert (now["0123456789ab_8080"], now["fedcba987654_1"]) == (MAINT, DRAIN)
    assert synced(around).applied.action == "none"


def test_a_usable_one_of_theirs_is_a_better_server_than_an_unhealthy_container(
    around: Watched, start_haproxy: Start
) -> None:
    around.begin(start_haproxy, 1)
    around.api.containers[0]["Status"] = "Up 3 seconds (unhealthy)"
    around.event(1, "health_status: unhealthy")
    around.is_told(1, "drain")
    assert synced(around).applied.action in ("none", "write")
    assert around.told(1) == "drain"


def test_a_usable_one_of_theirs_lets_the_last_container_be_drained(
    around: Watched, start_haproxy: Start, template: str
) -> None:
    around.run(1)
    around.first_pass()
    start_haproxy()
    around.up(1)
    drain.drain(around.settings, template, Target.named("host", "localhost"))
    assert around.told(1) == DRAIN
    theirs_serve(around)


# What somebody adds by hand


def add_by_hand(around: Watched, name: str) -> None:
    port = around.web().port
    around.runtime.change([f"add server web/{name} 127.0.0.1:{port}", f"set server web/{name} state ready"])


def test_a_server_of_a_foreign_name_that_somebody_adds_is_left_alone(around: Watched, start_haproxy: Start) -> None:
    around.run(1)
    around.first_pass()
    start_haproxy()
    add_by_hand(around, "by-hand")
    around.run(2)
    synced(around)
    around.watch()
    around.up(1, 2)
    for number in (1, 2):
        around.gone(number)
        around.event(number, "die")
        around.is_told(number, "maint")
    until(lambda: synced(around).applied.action == "none")
    assert told(around)["by-hand"] == READY
    around.runtime.change(["set server web/by-hand state maint"])
    around.start(3)
    around.up(3)
    synced(around)
    assert told(around)["by-hand"] == MAINT


@pytest.mark.parametrize("by", ["sync", "watcher"])
def test_a_server_that_is_called_as_ours_and_nobody_knows_leaves(
    around: Watched, start_haproxy: Start, by: str
) -> None:
    around.run(1)
    around.first_pass()
    start_haproxy()
    around.up(1)
    add_by_hand(around, "aaaaaaaaaaaa_49153")
    if by == "watcher":
        around.watch()
    else:
        synced(around)
    until(lambda: is_out(around, "aaaaaaaaaaaa_49153"))
    theirs_serve(around)


# Default servers


@pytest.fixture
def with_spare(around: Watched) -> Callable[[], None]:
    """The service has a default server beside the others; what is given back takes it out of the configuration."""
    around.service["default_servers"] = [{"name": "spare", "host": "127.0.0.1", "port": around.web().port}]
    around.service["keep_default_servers"] = True
    around.write()

    def without() -> None:
        del around.service["default_servers"]
        around.write()

    return without


def spare_is_told(around: Watched, admin: str) -> bool:
    return told(around).get("spare", MAINT) == admin


def test_a_default_server_that_is_taken_out_of_the_configuration_leaves_by_a_sync(
    around: Watched, start_haproxy: Start, with_spare: Callable[[], None]
) -> None:
    around.run(1)
    around.first_pass()
    start_haproxy()
    until(partial(spare_is_told, around, READY))
    with_spare()
    assert "spare" not in [endpoint.given_name for endpoint in synced(around).endpoints["web"]]
    until(partial(spare_is_told, around, MAINT))
    assert " spare " not in around.settings.haproxy.config_file_path.read_text()
    until(lambda: synced(around).applied.action == "none")
    known = last_known.load(around.settings.haproxy.state_file)
    assert "spare" not in [endpoint.given_name for endpoint in known.endpoints["web"]]
    theirs_serve(around)


def test_a_default_server_that_is_taken_out_of_the_configuration_leaves_by_the_watcher(
    around: Watched, start_haproxy: Start, with_spare: Callable[[], None]
) -> None:
    around.begin(start_haproxy, 1)
    until(partial(spare_is_told, around, READY))
    with_spare()
    around.said("configuration=changed")
    until(partial(spare_is_told, around, MAINT))
    theirs_serve(around)
    assert synced(around).applied.action in ("none", "write")
