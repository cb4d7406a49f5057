"""What may happen on a balancer."""

from __future__ import annotations

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, has, host, property_of, remove, servers, start, takes_up_changes, whole
from fault import Allowed, fault, short

FIRST, SECOND = BALANCERS
DOCKER_HOST = DOCKER_HOSTS[2]


def test_a_watcher_is_killed() -> None:
    before = property_of(FIRST, "dockmaster-watch")
    assert before != "0"
    with fault(f"watcher killed on {short(FIRST)}") as one:
        # What comes while it cannot hear is not missed.
        host(FIRST).check_output("kill -STOP %s", before)
        container = start(DOCKER_HOST)
        host(FIRST).check_output("kill -KILL %s", before)
        one.inject("watcher killed")
        one.await_(
            "systemd has started it again", 30, lambda: property_of(FIRST, "dockmaster-watch") not in (before, "0")
        )
        one.await_("it has what it missed", 30, lambda: has(FIRST, container))
        remove(DOCKER_HOST, container)
        one.undo("that container removed")
        one.await_("both balancers have followed", 30, lambda: not any(container in name for name in servers(FIRST)))
        takes_up_changes(DOCKER_HOST)
    within(20, whole)


def test_haproxy_is_killed() -> None:
    before = property_of(FIRST, "haproxy")
    why = "requests on the balancer at that moment are cut; the client asks the other one until it listens again"
    with fault(f"HAProxy killed on {short(FIRST)}", Allowed(requests=8, why=why)) as one:
        container = start(DOCKER_HOST)
        within(20, lambda: all(has(balancer, container) for balancer in BALANCERS))
        host(FIRST).check_output("pkill -KILL -x haproxy")
        one.inject("master and worker killed")
        one.await_("systemd has started it again", 30, lambda: property_of(FIRST, "haproxy") not in (before, "0"))
        one.await_("it runs what Docker says", 30, lambda: has(FIRST, container))
        remove(DOCKER_HOST, container)
        one.undo("a container removed")
        one.await_("all is well", 30, whole)
        takes_up_changes(DOCKER_HOST)
