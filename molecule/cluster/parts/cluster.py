"""The hosts of the cluster, what they say, and the playbooks that are run on them."""

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
from watched import tell

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "molecule" / "cluster" / "inventory"
KEPT = ROOT / ".cache" / "molecule-cluster"
"""What outlives a run: the report, and the log of each playbook."""

NAME = "dockmaster-test-"
BALANCERS = (f"{NAME}lb1", f"{NAME}lb2")
DOCKER_HOSTS = (f"{NAME}app1", f"{NAME}app2", f"{NAME}app3")
CLIENT = f"{NAME}client"
PORT = 80
GATEWAY = 2376
PLAYBOOK_SECONDS = 1200


@cache
def host(name: str) -> Host:
    """One of the hosts, by its whole name."""
    return testinfra.get_host(f"docker://{name}")


@cache
def address(name: str) -> str:
    """Its address on the test network."""
    groups = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]
    of_all = [groups["hosts"], *(group["hosts"] for group in groups["children"].values())]
    return str(next(hosts[name]["private_address"] for hosts in of_all if name in hosts))


def status(balancer: str) -> dict[str, Any]:
    """What the command on a balancer says of everything."""
    told: dict[str, Any] = json.loads(host(balancer).run("dockmaster status --json").stdout)
    return told


def source(balancer: str, docker_host: str) -> dict[str, Any]:
    """What it says of a Docker host."""
    found: dict[str, Any] = next(one for one in status(balancer)["sources"] if one["docker_host"] == docker_host)
    return found


def servers(balancer: str, docker_host: str = "") -> dict[str, str]:
    """HAProxy's word for each of its servers that is not out of service: of a Docker host, or of all."""
    rows = csv.DictReader(tell(host(balancer), "show stat nodesrv 4 -1").removeprefix("# ").splitlines())
    return {
        row["svname"]: row["status"]
        for row in rows
        if row["svname"].startswith(f"{docker_host}_" if docker_host else "") and not row["status"].startswith("MAINT")
    }


def whole(without: str = "") -> bool:
    """Whether both balancers have a usable server on each Docker host, and hold that all is well."""
    expected = [one for one in DOCKER_HOSTS if one != without]
    return all(set(servers(balancer, one).values()) == {"UP"} for balancer in BALANCERS for one in expected) and all(
        status(balancer)["healthy"] for balancer in BALANCERS
    )


def containers(docker_host: str) -> list[str]:
    """The short ids of the service's containers that run there."""
    return str(host(docker_host).check_output("docker ps --quiet --filter ancestor=local/nodeapp")).split()


def start(docker_host: str) -> str:
    """Start a container of the service by hand; its short id."""
    return str(host(docker_host).check_output("docker run --detach --publish 8000 local/nodeapp"))[:12]


def remove(docker_host: str, container: str) -> None:
    """Remove a container at once."""
    host(docker_host).check_output("docker rm --force --volumes %s", container)


def has(balancer: str, container: str) -> bool:
    """Whether HAProxy has a usable server for a container."""
    return any(container in name and word == "UP" for name, word in servers(balancer).items())


def takes_up_changes(docker_host: str, *balancers: str) -> None:
    """A container that comes there now gets traffic from the balancers, and one that goes gets none."""
    container = start(docker_host)
    try:
        within(20, lambda: all(has(one, container) for one in balancers or BALANCERS))
    finally:
        remove(docker_host, container)
    within(20, lambda: not any(container in name for one in balancers or BALANCERS for name in servers(one)))


def property_of(name: str, unit: str, what: str = "MainPID") -> str:
    """What systemd says of a unit."""
    return str(host(name).check_output("systemctl show --property %s --value %s", what, unit))


def play(playbook: str, *arguments: str, inventory: Path = INVENTORY, fails: bool = False) -> str:
    """Run a playbook on the whole cluster; what it printed. It has to fail where that is expected."""
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
    """A copy of the inventory that lacks some hosts, or says more of others (by the last part of the name)."""
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
    """The folder of the private certificate authority."""
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "certificates"
