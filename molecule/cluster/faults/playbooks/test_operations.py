"""What operators do: drain and make ready, and upgrade."""

from __future__ import annotations

import json
from pathlib import Path

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, host, play, property_of, servers, whole
from fault import Fault, fault, short

DOCKER_HOST = DOCKER_HOSTS[0]
UPGRADED, BALANCER = DOCKER_HOSTS[1], BALANCERS[0]
NEWER = (Path(__file__).parents[2] / "newer.sh").read_text()


def drained(name: str) -> bool:
    """Whether both balancers have drained a container, or every container of a host."""
    words = [word for b in BALANCERS for server, word in servers(b).items() if name in server]
    return bool(words) and set(words) == {"DRAIN"}


def drain_and_make_ready(one: Fault, name: str, **what: str) -> None:
    """Drain by the playbook, check that no requests follow, and make ready again."""
    play("playbooks/drain.yml", "--extra-vars", json.dumps(what))
    one.inject(f"drain.yml for {short(name)}")
    one.await_("both balancers have drained it", 10, lambda: drained(name))
    if name == DOCKER_HOST:
        one.await_("it serves no request", 10, lambda: one.served_by(DOCKER_HOST) == 0)
        # It survives a restart of the watcher and a reload of HAProxy.
        host(BALANCERS[0]).check_output("systemctl restart dockmaster-watch")
        host(BALANCERS[1]).check_output("systemctl reload haproxy && dockmaster sync")
        within(20, lambda: property_of(BALANCERS[0], "dockmaster-watch", "ActiveState") == "active")
        within(20, lambda: drained(name))
    play("playbooks/drain.yml", "--extra-vars", json.dumps({**what, "drain_state": "ready"}))
    one.undo(f"drain.yml with drain_state=ready for {short(name)}")
    one.await_("the cluster works", 20, whole)


def test_drain_of_a_host_and_of_a_container_costs_no_request() -> None:
    [container, *_] = host(DOCKER_HOST).check_output("docker ps --format '{{.Names}} {{.ID}}'").splitlines()
    name, number = container.split()
    with fault(f"{short(DOCKER_HOST)} drained and made ready, then one of its containers") as one:
        drain_and_make_ready(one, DOCKER_HOST, drain_host=DOCKER_HOST)
        drain_and_make_ready(one, number, drain_container=number)
        assert name
        assert one.served_by(DOCKER_HOST) > 0


def versions() -> dict[tuple[str, str], str]:
    """Return the versions of the packages that can be upgraded."""
    return {
        (name, package): str(host(name).check_output("dpkg-query --show --showformat '${Version}' %s", package))
        for name, package in ((UPGRADED, "docker.io"), (UPGRADED, "haproxy"), (BALANCER, "haproxy"))
    }


def test_upgrade_of_docker_and_haproxy_costs_no_request() -> None:
    for name in (UPGRADED, BALANCER):
        packages = [package for of, package in versions() if of == name]
        host(name).check_output(f"sh -c %s newer {' '.join(packages)}", NEWER)
    before = versions()
    with fault(f"Docker and HAProxy upgraded on {short(UPGRADED)}, HAProxy on {short(BALANCER)}") as one:
        one.inject("upgrade.yml begins")
        play("playbooks/upgrade.yml", "--limit", f"{UPGRADED},{BALANCER}")
        one.await_("it has ended, and the cluster works", 20, whole)
        assert versions() == {key: f"{version}+newer" for key, version in before.items()}
        for name, unit in ((BALANCER, "haproxy"), (UPGRADED, "dockmaster-gateway"), (UPGRADED, "docker")):
            # The processes run the new files.
            pid = property_of(name, unit)
            assert "(deleted)" not in host(name).check_output("readlink /proc/%s/exe", pid)
        assert one.served_by(UPGRADED) > 0
