"""Docker hosts that are removed, unreachable, or asked only by playbooks. HAProxy is real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from docker_api import SimulatedDocker, simulated_docker
from dockmaster import status, sync
from dockmaster.model.endpoint import Endpoint
from dockmaster.state import changed_servers
from findings import finds
from waiting import until
from watching import Watched, container_id, entry

Start = Callable[[], None]


@pytest.fixture
def other(around: Watched) -> Iterator[SimulatedDocker]:
    """Add a second and a third simulated Docker host with one container each."""
    with simulated_docker() as api:
        around.service["discovery"]["servers"] = [
            {"name": "one", "host": "127.0.0.1", "port": around.api.port},
            {"name": "two", "host": "127.0.0.1", "port": api.port},
            {"name": "three", "host": "127.0.0.1", "port": around.api.port},
        ]
        web = around.run(1)
        api.containers = [entry(2, web.port)]
        yield api


def leave(around: Watched) -> None:
    """Remove the second host from the configuration."""
    around.service["discovery"]["servers"].pop(1)
    around.write()


def hosts(report: sync.Report) -> set[str]:
    """Return the Docker hosts that have servers."""
    return {one.docker_host for one in report.endpoints["web"]}


def test_sync_keeps_an_unreachable_host_only_while_it_is_configured(around: Watched, other: SimulatedDocker) -> None:
    around.first_pass()
    other.status = 500
    report = around.sync()
    assert hosts(report) == {"one", "two", "three"}
    assert set(report.unreachable) == {"two"}
    leave(around)
    report = around.sync()
    assert hosts(report) == {"one", "three"}
    assert not report.unreachable


def test_watcher_drops_an_unreachable_host_that_leaves_the_configuration(
    around: Watched, other: SimulatedDocker, start_haproxy: Start
) -> None:
    around.first_pass()
    start_haproxy()
    other.status = 500
    around.watch()
    until(lambda: around.runtime.usable_servers("web") == 3)
    leave(around)
    around.is_told(2, "maint", host="two_")
    until(lambda: around.runtime.usable_servers("web") == 2)
    around.stop()


def given(*answered: str) -> dict[str, list[Endpoint]]:
    """Return what a playbook has found on these hosts."""
    ids = {"one": container_id(1), "two": container_id(2)}
    return {"web": [Endpoint(host, ids[host], "127.0.0.1", 49000, "web-1") for host in answered]}


def test_playbook_keeps_an_unreachable_host_only_while_it_is_in_the_group(around: Watched, template: str) -> None:
    def apply(unreachable: dict[str, str], *answered: str) -> sync.Report:
        return sync.run(around.settings, template, finds(around.settings, given(*answered), unreachable=unreachable))

    apply({}, "one", "two")
    assert hosts(apply({"two": "no answer"}, "one")) == {"one", "two"}
    assert hosts(apply({}, "one")) == {"one"}


@pytest.mark.parametrize(("age", "spared"), [(60, False), (120, True)])
def test_playbook_does_not_undo_what_the_watcher_did_meanwhile(
    around: Watched, start_haproxy: Start, template: str, age: int, spared: bool
) -> None:
    around.begin(start_haproxy, 1, 2)
    around.stop()
    server = around.servers(2)[-1]
    folder = around.settings.haproxy.run_directory
    (folder / changed_servers.FILE).write_text(f"{time.monotonic() - 90} web/{server.name}\n")
    only_the_first: dict[str, Any] = {
        "web": [one for one in around.sync().endpoints["web"] if one.container_id == container_id(1)]
    }
    sync.run(around.settings, template, finds(around.settings, only_the_first), age=age)
    assert (around.told(2) == "ready") is spared


def test_status_shows_what_playbooks_found_if_only_they_ask(
    around: Watched, start_haproxy: Start, template: str
) -> None:
    around.first_pass()
    around.service["discovery"]["servers"] = []
    around.write()
    web = around.web()
    heard = {"web": [Endpoint("one", container_id(1), "127.0.0.1", web.port, "web-1")]}
    sync.run(around.settings, template, finds(around.settings, heard))
    start_haproxy()
    until(lambda: around.runtime.usable_servers("web") == 1)
    current = status.of(around.settings)
    assert [(row.docker_host, row.container, row.state) for row in current.servers] == [("one", "web-1", "healthy")]
    assert current.healthy


def test_sync_without_sources_keeps_what_playbooks_found(around: Watched, start_haproxy: Start) -> None:
    """While cron and the watcher still run, and later if somebody runs a sync by hand."""
    around.begin(start_haproxy, 1, 2)
    around.service["discovery"]["servers"] = []
    around.write()
    around.said("no Docker host to follow")
    report = around.sync()
    assert len(report.endpoints["web"]) == 2
    until(lambda: around.runtime.usable_servers("web") == 2)
    around.stop()
