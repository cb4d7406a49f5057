"""A Docker host that loses its power, and a playbook that runs meanwhile."""

from __future__ import annotations

from pathlib import Path

import docker
from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, address, follow_containers, host, inventory, play, servers, source, whole
from fault import Allowed, fault, short

OFF, OTHER = DOCKER_HOSTS[2], DOCKER_HOSTS[0]
SWALLOWED = (
    "HAProxy sent these to the host before its check failed; they are not repeated, "
    "because nobody knows whether the host has processed them"
)


def test_host_without_power_keeps_its_servers_and_serves_again(tmp_path: Path) -> None:
    machine = docker.from_env().containers.get(OFF)
    known = {balancer: set(servers(balancer)) for balancer in BALANCERS}
    with fault(f"{short(OFF)} powered off and on", Allowed(posts=20, why=SWALLOWED)) as one:
        machine.kill()
        one.inject("the power is off")
        one.await_(
            "HAProxy's checks have failed",
            30,
            lambda: all(word.startswith("DOWN") for b in BALANCERS for word in servers(b, OFF).values()),
        )
        one.await_(
            "both balancers report it as unreachable", 30, lambda: not any(source(b, OFF)["answers"] for b in BALANCERS)
        )
        assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known

        # A sync by playbook: a host that does not answer over SSH is unreachable, and not empty.
        by_ssh = inventory(tmp_path / "ssh", app3={"ansible_connection": "ssh", "ansible_host": address(OFF)})
        output = play("playbooks/discover.yml", inventory=by_ssh, fails=True)
        assert f"{OFF} " in output
        assert "unreachable=1" in next(line for line in output.splitlines() if line.startswith(f"{OFF} "))
        assert all("unreachable=0" in line and "failed=0" in line for line in recap(output) if OFF not in line)
        one.await_("a sync by playbook has removed none of its servers", 5, lambda: known.items() <= now().items())
        follow_containers(OTHER)

        machine.start()
        one.undo("the power is on")
        within(60, lambda: host(OFF).run("systemctl is-system-running --wait").stdout.strip() == "running")
        one.await_("its containers serve, and the cluster works", 60, whole)
        follow_containers(OFF)


def recap(output: str) -> list[str]:
    """Return the lines of the play recap."""
    return [line for line in output.partition("PLAY RECAP")[2].splitlines() if "unreachable=" in line]


def now() -> dict[str, set[str]]:
    """Return the servers of each balancer."""
    return {balancer: set(servers(balancer)) for balancer in BALANCERS}
