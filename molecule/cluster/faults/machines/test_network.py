"""A Docker host that cannot be reached: packets are dropped in both directions, so no connection is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, address, follow_containers, host, property_of, servers, source, whole
from fault import Allowed, fault, short

UNREACHABLE, OTHER = DOCKER_HOSTS[1], DOCKER_HOSTS[2]
FIRST, SECOND = BALANCERS
SWALLOWED = (
    "HAProxy sent these to the host before its check failed; they are not repeated, "
    "because nobody knows whether the host has processed them"
)
METRICS = "/var/lib/dockmaster/metrics/dockmaster_watch.prom"


@contextmanager
def cut_off() -> Iterator[None]:
    """Drop all packets from and to the host and its containers."""
    rules = ("PREROUTING -i eth0", "POSTROUTING -o eth0")
    for rule in rules:
        host(UNREACHABLE).check_output(f"iptables --table mangle --insert {rule} --jump DROP")
    try:
        yield
    finally:
        for rule in rules:
            host(UNREACHABLE).check_output(f"iptables --table mangle --delete {rule} --jump DROP")


def all_down() -> bool:
    """Whether both balancers still have the servers of the host, and all of them are down."""
    return all(
        words and all(word.startswith("DOWN") for word in words)
        for words in (servers(balancer, UNREACHABLE).values() for balancer in BALANCERS)
    )


def is_unreachable(balancer: str, docker_host: str) -> bool:
    """Whether ``dockmaster status`` says that the host is unreachable, and since when."""
    row = source(balancer, docker_host)
    return not row["answers"] and (row["age"] or 0) > 3


def last_answer(balancer: str) -> float:
    """Return when the host last answered the watcher, from the metrics."""
    text = host(balancer).file(METRICS).content_string
    of_host = f'dockmaster_watch_source_last_answer_timestamp_seconds{{docker_host="{UNREACHABLE}"}} '
    return float(next(line for line in text.splitlines() if line.startswith(of_host)).split()[-1])


def test_cut_off_host_keeps_its_servers_and_serves_again() -> None:
    known = {balancer: set(servers(balancer)) for balancer in BALANCERS}
    began = float(host(FIRST).check_output("date +%s"))
    with fault(f"{short(UNREACHABLE)} cut off: its packets are dropped", Allowed(posts=20, why=SWALLOWED)) as one:
        with cut_off():
            one.inject("packets are dropped")
            one.await_("HAProxy's checks have failed", 30, all_down)
            one.await_(
                "both balancers report when it last answered",
                40,
                lambda: all(is_unreachable(balancer, UNREACHABLE) for balancer in BALANCERS),
            )
            assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known
            now = float(host(FIRST).check_output("date +%s"))
            assert began - 60 < last_answer(FIRST) < now - 1
            # Meanwhile, the balancers follow the other Docker hosts.
            follow_containers(OTHER)
        one.undo("packets pass again")
        one.await_("its servers are up, and the cluster works", 30, whole)
        assert one.served_by(UNREACHABLE) > 0
        follow_containers(UNREACHABLE)


def test_last_known_servers_survive_a_restart_of_watcher_and_haproxy() -> None:
    known = {balancer: set(servers(balancer)) for balancer in BALANCERS}
    why = f"HAProxy cuts its open connections when it is stopped; of the POSTs: {SWALLOWED}"
    with fault(
        f"watchers and HAProxy restarted while {short(UNREACHABLE)} is cut off", Allowed(requests=8, posts=20, why=why)
    ) as one:
        with cut_off():
            one.inject("packets are dropped")
            one.await_("HAProxy's checks have failed", 30, all_down)
            for balancer in BALANCERS:
                host(balancer).check_output("systemctl restart dockmaster-watch")
            within(
                20, lambda: all(property_of(one, "dockmaster-watch", "ActiveState") == "active" for one in BALANCERS)
            )
            one.inject("the watchers are restarted")
            follow_containers(OTHER)
            assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known
            host(SECOND).check_output("systemctl restart haproxy")
            one.inject(f"HAProxy is restarted on {short(SECOND)}")
            one.await_("HAProxy's checks have failed again", 30, all_down)
            assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known
        one.undo("packets pass again")
        one.await_("its servers are up, and the cluster works", 30, whole)


def dialled(balancer: str) -> list[str]:
    """Return the addresses that HAProxy dials, as ``dockmaster status`` reports them."""
    found = json.loads(host(balancer).check_output("dockmaster status --json"))
    return [row["address"].partition(":")[0] for row in found["servers"]]


def test_balancers_dial_the_addresses_of_the_inventory() -> None:
    expected = {address(docker_host) for docker_host in DOCKER_HOSTS}
    assert all(set(dialled(balancer)) == expected for balancer in BALANCERS)
