"""Faults on a balancer."""

from __future__ import annotations

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, follow_containers, has, host, property_of, remove, servers, start, whole
from fault import Allowed, fault, short

FIRST, SECOND = BALANCERS
DOCKER_HOST = DOCKER_HOSTS[2]


def test_killed_watcher_costs_no_request_and_misses_nothing() -> None:
    before = property_of(FIRST, "dockmaster-watch")
    assert before != "0"
    with fault(f"watcher killed on {short(FIRST)}") as one:
        # The stopped watcher does not hear this start, and must not miss it.
        host(FIRST).check_output("kill -STOP %s", before)
        container = start(DOCKER_HOST)
        host(FIRST).check_output("kill -KILL %s", before)
        one.inject("the watcher is killed")
        one.await_("systemd has restarted it", 30, lambda: property_of(FIRST, "dockmaster-watch") not in (before, "0"))
        one.await_("it has added the container started meanwhile", 30, lambda: has(FIRST, container))
        remove(DOCKER_HOST, container)
        one.undo("that container is removed")
        one.await_(
            "both balancers have removed its server", 30, lambda: not any(container in name for name in servers(FIRST))
        )
        follow_containers(DOCKER_HOST)
    within(20, whole)


def test_killed_haproxy_costs_only_requests_on_its_connections() -> None:
    before = property_of(FIRST, "haproxy")
    why = "the balancer cuts its open requests; until it listens again, the client uses the other balancer"
    with fault(f"HAProxy killed on {short(FIRST)}", Allowed(requests=8, why=why)) as one:
        container = start(DOCKER_HOST)
        within(20, lambda: all(has(balancer, container) for balancer in BALANCERS))
        host(FIRST).check_output("pkill -KILL -x haproxy")
        one.inject("master and worker are killed")
        one.await_("systemd has restarted it", 30, lambda: property_of(FIRST, "haproxy") not in (before, "0"))
        one.await_("it has the server of the running container", 30, lambda: has(FIRST, container))
        remove(DOCKER_HOST, container)
        one.undo("that container is removed")
        one.await_("the cluster works", 30, whole)
        follow_containers(DOCKER_HOST)
