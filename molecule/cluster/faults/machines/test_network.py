"""A Docker host that cannot be reached: packets are dropped both ways, so that nobody is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, address, host, property_of, servers, source, takes_up_changes, whole
from fault import Allowed, fault, short

SILENT, OTHER = DOCKER_HOSTS[1], DOCKER_HOSTS[2]
FIRST, SECOND = BALANCERS
SWALLOWED = (
    "what the host had been sent before HAProxy's check failed is lost where it may not be sent twice; "
    "nothing tells whether it was carried out"
)
METRICS = "/var/lib/dockmaster/metrics/dockmaster_watch.prom"


@contextmanager
def cut_off() -> Iterator[None]:
    """Drop all that comes to the host and its containers, and all that they send."""
    rules = ("PREROUTING -i eth0", "POSTROUTING -o eth0")
    for rule in rules:
        host(SILENT).check_output(f"iptables --table mangle --insert {rule} --jump DROP")
    try:
        yield
    finally:
        for rule in rules:
            host(SILENT).check_output(f"iptables --table mangle --delete {rule} --jump DROP")


def all_down() -> bool:
    """Whether both balancers have given up every server there, and each is still one of theirs."""
    return all(
        words and all(word.startswith("DOWN") for word in words)
        for words in (servers(balancer, SILENT).values() for balancer in BALANCERS)
    )


def unknown(balancer: str, docker_host: str) -> bool:
    """Whether the command says that the host does not answer, and for how long."""
    said = source(balancer, docker_host)
    return not said["answers"] and (said["age"] or 0) > 3


def last_answer(balancer: str) -> float:
    """When the watcher last heard of the silent host, as it tells a monitor."""
    text = host(balancer).file(METRICS).content_string
    of_host = f'dockmaster_watch_source_last_answer_timestamp_seconds{{docker_host="{SILENT}"}} '
    return float(next(line for line in text.splitlines() if line.startswith(of_host)).split()[-1])


def test_a_host_is_cut_off_and_comes_back() -> None:
    known = {balancer: set(servers(balancer)) for balancer in BALANCERS}
    began = float(host(FIRST).check_output("date +%s"))
    with fault(f"{short(SILENT)} cut off: packets dropped", Allowed(posts=20, why=SWALLOWED)) as one:
        with cut_off():
            one.inject("packets dropped")
            one.await_("HAProxy's checks took its servers out", 30, all_down)
            one.await_("its age is told", 40, lambda: all(unknown(balancer, SILENT) for balancer in BALANCERS))
            assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known
            now = float(host(FIRST).check_output("date +%s"))
            assert began - 60 < last_answer(FIRST) < now - 1
            # Others go on changing.
            takes_up_changes(OTHER)
        one.undo("packets pass again")
        one.await_("its servers are up, and all is well", 30, whole)
        assert one.served_by(SILENT) > 0
        takes_up_changes(SILENT)


def test_last_known_servers_outlive_watcher_and_haproxy() -> None:
    known = {balancer: set(servers(balancer)) for balancer in BALANCERS}
    why = f"connections on HAProxy when it is stopped are cut; {SWALLOWED}"
    with fault(
        f"watchers and HAProxy restarted while {short(SILENT)} is silent", Allowed(requests=8, posts=20, why=why)
    ) as one:
        with cut_off():
            one.inject("packets dropped")
            one.await_("HAProxy's checks took its servers out", 30, all_down)
            for balancer in BALANCERS:
                host(balancer).check_output("systemctl restart dockmaster-watch")
            within(
                20, lambda: all(property_of(one, "dockmaster-watch", "ActiveState") == "active" for one in BALANCERS)
            )
            one.inject("watchers restarted")
            takes_up_changes(OTHER)
            assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known
            host(SECOND).check_output("systemctl restart haproxy")
            one.inject(f"HAProxy restarted on {short(SECOND)}")
            one.await_("HAProxy's checks took the silent servers out again", 30, all_down)
            assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known
        one.undo("packets pass again")
        one.await_("its servers are up, and all is well", 30, whole)


def found(balancer: str) -> list[str]:
    """The addresses that HAProxy dials, by the command's word."""
    told = json.loads(host(balancer).check_output("dockmaster status --json"))
    return [row["address"].partition(":")[0] for row in told["servers"]]


def test_published_ports_are_dialled_at_the_inventorys_addresses() -> None:
    expected = {address(docker_host) for docker_host in DOCKER_HOSTS}
    assert all(set(found(balancer)) == expected for balancer in BALANCERS)
