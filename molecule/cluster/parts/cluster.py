"""The hosts of the cluster, what they report, and the playbooks that run on them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import testinfra
import yaml
from ask import within
from testinfra.host import Host
from watched import runtime_api

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "molecule" / "cluster" / "inventory"
KEPT = ROOT / ".cache" / "molecule-cluster"
"""Kept after a run: the report and the log of each playbook."""

NAME = "dockmaster-test-"
BALANCERS = (f"{NAME}lb1", f"{NAME}lb2")
DOCKER_HOSTS = (f"{NAME}app1", f"{NAME}app2", f"{NAME}app3")
CLIENT = f"{NAME}client"
PORT = 80
GATEWAY = 2376
PLAYBOOK_SECONDS = 1200


@cache
def host(name: str) -> Host:
    """Return a host by its full name."""
    return testinfra.get_host(f"docker://{name}")


@cache
def address(name: str) -> str:
    """Return the address of a host on the test network."""
    groups = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]
    of_all = [groups["hosts"], *(group["hosts"] for group in groups["children"].values())]
    return str(next(hosts[name]["private_address"] for hosts in of_all if name in hosts))


def status(balancer: str) -> dict[str, Any]:
    """Return what ``dockmaster status`` reports on a balancer."""
    found: dict[str, Any] = json.loads(host(balancer).run("dockmaster status --json").stdout)
    return found


def source(balancer: str, docker_host: str) -> dict[str, Any]:
    """Return what a balancer reports about a Docker host."""
    found: dict[str, Any] = next(one for one in status(balancer)["sources"] if one["docker_host"] == docker_host)
    return found


def servers(balancer: str, docker_host: str = "") -> dict[str, str]:
    """Return HAProxy's status of each server that is not in maintenance: of one Docker host or of all."""
    rows = csv.DictReader(runtime_api(host(balancer), "show stat nodesrv 4 -1").removeprefix("# ").splitlines())
    return {
        row["svname"]: row["status"]
        for row in rows
        if row["svname"].startswith(f"{docker_host}_" if docker_host else "") and not row["status"].startswith("MAINT")
    }


def whole(without: str = "") -> bool:
    """Whether the servers of every Docker host are up on both balancers, and ``dockmaster status`` has no problem."""
    expected = [one for one in DOCKER_HOSTS if one != without]
    return all(set(servers(balancer, one).values()) == {"UP"} for balancer in BALANCERS for one in expected) and all(
        status(balancer)["healthy"] for balancer in BALANCERS
    )


def containers(docker_host: str) -> list[str]:
    """Return the short ids of the service's containers on a Docker host."""
    return str(host(docker_host).check_output("docker ps --quiet --filter ancestor=local/nodeapp")).split()


def start(docker_host: str) -> str:
    """Start a container of the service by hand, and return its short id."""
    return str(host(docker_host).check_output("docker run --detach --publish 8000 local/nodeapp"))[:12]


def remove(docker_host: str, container: str) -> None:
    """Kill and remove a container."""
    host(docker_host).check_output("docker rm --force --volumes %s", container)


def has(balancer: str, container: str) -> bool:
    """Whether HAProxy has a usable server for a container."""
    return any(container in name and word == "UP" for name, word in servers(balancer).items())


def follow_containers(docker_host: str, *balancers: str) -> None:
    """Check that the balancers add a new container of a Docker host, and drop it once it is removed."""
    container = start(docker_host)
    try:
        within(20, lambda: all(has(one, container) for one in balancers or BALANCERS))
    finally:
        remove(docker_host, container)
    within(20, lambda: not any(container in name for one in balancers or BALANCERS for name in servers(one)))


def property_of(name: str, unit: str, what: str = "MainPID") -> str:
    """Return a property of a systemd unit."""
    return str(host(name).check_output("systemctl show --property %s --value %s", what, unit))


def play(playbook: str, *arguments: str, inventory: Path = INVENTORY, fails: bool = False) -> str:
    """Run a playbook on the whole cluster, and return its output. With ``fails``, it must fail."""
    command = ["ansible-playbook", "--inventory", str(inventory), *arguments, str(ROOT / playbook)]
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "playbooks.log").open("a+") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        began = log.tell()
        done = subprocess.run(command, stdout=log, stderr=log, check=False, timeout=PLAYBOOK_SECONDS, cwd=ROOT)
        log.seek(began)
        output = log.read()
    assert (done.returncode != 0) == fails, output
    return output


def inventory(folder: Path, without: Sequence[str] = (), **variables: dict[str, Any]) -> Path:
    """Copy the inventory without some hosts, or with more variables of others (by the last part of the name)."""
    whole = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
    for group in whole["all"]["children"].values():
        for name in without:
            group["hosts"].pop(name, None)
        for short, more in variables.items():
            if NAME + short in group["hosts"]:
                group["hosts"][NAME + short].update(more)
    folder.mkdir(exist_ok=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump(whole))
    (folder / "group_vars").symlink_to(INVENTORY / "group_vars")
    return folder


def certificates() -> Path:
    """Return the folder of the private CA."""
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "certificates"
