"""A Docker host that goes off, and what a playbook then takes it for."""

from __future__ import annotations

from pathlib import Path

import docker
from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, address, host, inventory, play, servers, source, takes_up_changes, whole
from fault import Allowed, fault, short

OFF, OTHER = DOCKER_HOSTS[2], DOCKER_HOSTS[0]
SWALLOWED = (
    "what the host had been sent is lost where it may not be sent twice; nothing tells whether it was carried out"
)


def test_a_host_is_powered_off_and_back(tmp_path: Path) -> None:
    machine = docker.from_env().containers.get(OFF)
    known = {balancer: set(servers(balancer)) for balancer in BALANCERS}
    with fault(f"{short(OFF)} powered off, and back", Allowed(posts=20, why=SWALLOWED)) as one:
        machine.kill()
        one.inject("power cut")
        one.await_(
            "HAProxy's checks took its servers out",
            30,
            lambda: all(word.startswith("DOWN") for b in BALANCERS for word in servers(b, OFF).values()),
        )
        one.await_("both balancers call it unknown", 30, lambda: not any(source(b, OFF)["answers"] for b in BALANCERS))
        assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known

        # A pass without the API: what does not answer over SSH is unknown, too, and not empty.
        by_ssh = inventory(tmp_path / "ssh", app3={"ansible_connection": "ssh", "ansible_host": address(OFF)})
        output = play("playbooks/discover.yml", inventory=by_ssh, fails=True)
        assert f"{OFF} " in output
        assert "unreachable=1" in next(line for line in output.splitlines() if line.startswith(f"{OFF} "))
        assert all("unreachable=0" in line and "failed=0" in line for line in recap(output) if OFF not in line)
        one.await_("a pass by playbook took nothing away", 5, lambda: known.items() <= now().items())
        takes_up_changes(OTHER)

        machine.start()
        one.undo("power back")
        within(60, lambda: host(OFF).run("systemctl is-system-running --wait").stdout.strip() == "running")
        one.await_("its containers serve again, and all is well", 60, whole)
        takes_up_changes(OFF)


def recap(output: str) -> list[str]:
    """The lines of the hosts at the end of a playbook."""
    return [line for line in output.partition("PLAY RECAP")[2].splitlines() if "unreachable=" in line]


def now() -> dict[str, set[str]]:
    """Each balancer's servers."""
    return {balancer: set(servers(balancer)) for balancer in BALANCERS}
