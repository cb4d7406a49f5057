"""Playbooks run on the whole cluster: where nothing has to change, and where much has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import docker
from asking import BALANCERS_OWN, Credentials, ask, put, request
from cluster import (
    BALANCERS,
    DOCKER_HOSTS,
    containers,
    host,
    inventory,
    play,
    property_of,
    servers,
    source,
    status,
    takes_up_changes,
    whole,
)
from credentials import pem, real
from cryptography import x509
from fault import Allowed, fault, short

EXPIRED, REPLACED, REMOVED = DOCKER_HOSTS
STOLEN = BALANCERS[0]
SERVER = "/etc/dockmaster-gateway/tls/server.crt"
KEPT = Credentials(BALANCERS_OWN.authority, "/run/stolen.crt", "/run/stolen.key")
MANY_DAYS = 100000
"""More than any certificate has left: everybody gets a new one."""

SWALLOWED = "the host goes without a word: what it had been sent is lost where it may not be sent twice"


def test_a_second_run_changes_nothing() -> None:
    with fault("site.yml on all hosts, with nothing to change") as one:
        one.inject("site.yml begins")
        output = play("site.yml")
        one.await_("it is done, and all is well", 10, whole)
    changed = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", output, re.MULTILINE)
    assert {name: int(count) for name, count in changed} == dict.fromkeys([*DOCKER_HOSTS, *BALANCERS], 0)


def test_one_run_mends_what_expired_was_stolen_replaced_and_added(tmp_path: Path) -> None:
    steal()
    remove_from_inventory(tmp_path)
    expire()
    replace()
    gateways = {docker_host: property_of(docker_host, "dockmaster-gateway") for docker_host in (EXPIRED, REMOVED)}
    before = {docker_host: certificate(docker_host, SERVER).serial_number for docker_host in (EXPIRED, REMOVED)}
    stolen = certificate(STOLEN, "/run/stolen.crt").serial_number
    variables = {"certificate_authority_revoked": [stolen], "certificate_renew_before": MANY_DAYS}

    name = (
        f"site.yml: {short(REPLACED)} set up anew, {short(REMOVED)} added, key of {short(STOLEN)} revoked, "
        "every certificate renewed"
    )
    with fault(name, serving=[EXPIRED]) as one:
        one.inject("site.yml begins")
        play("site.yml", "--extra-vars", json.dumps(variables))
        one.await_("it is done, and all is well", 10, whole)
        for docker_host, pid in gateways.items():
            assert certificate(docker_host, SERVER).serial_number != before[docker_host]
            # By a reload, not by a restart.
            assert property_of(docker_host, "dockmaster-gateway") == pid
        # No ghosts of the machine that was there before.
        assert all(len(servers(balancer, REPLACED)) == len(containers(REPLACED)) for balancer in BALANCERS)
        for docker_host in DOCKER_HOSTS:
            assert statuses(KEPT, docker_host) == []
            assert statuses(BALANCERS_OWN, docker_host) == [200]
            assert one.served_by(docker_host) > 0
            takes_up_changes(docker_host)
        assert host(STOLEN).run("cmp /run/stolen.key %s", BALANCERS_OWN.key).rc == 1


def steal() -> None:
    """Somebody has a balancer's key: so far it opens every gateway."""
    for kind in ("crt", "key"):
        host(STOLEN).check_output(f"cp -p /etc/dockmaster/tls/client.{kind} /run/stolen.{kind}")
    assert all(statuses(KEPT, docker_host) == [200] for docker_host in DOCKER_HOSTS)


def remove_from_inventory(folder: Path) -> None:
    """A host is no longer there; it is not touched itself."""
    less = inventory(folder / "less", without=[REMOVED])
    with fault(f"{short(REMOVED)} removed from the inventory") as one:
        one.inject("load_balancers.yml begins")
        play("playbooks/load_balancers.yml", inventory=less)
        one.await_("both balancers have let go of it", 30, lambda: not any(servers(b, REMOVED) for b in BALANCERS))
        one.await_("it gets no request", 10, lambda: one.served_by(REMOVED) == 0)
        for balancer in BALANCERS:
            assert {row["docker_host"] for row in status(balancer)["sources"]} == {EXPIRED, REPLACED}
            assert status(balancer)["healthy"]
    assert containers(REMOVED)


def expire() -> None:
    """The gateway's certificate ended yesterday; its key is the same."""
    known = {balancer: set(servers(balancer)) for balancer in BALANCERS}
    key = certificate(EXPIRED, SERVER).public_key()
    put(EXPIRED, "/run/expired.crt", pem(real().sign(EXPIRED, key, days_ago=1, server=True)))
    with fault(f"certificate of {short(EXPIRED)}'s gateway expired", serving=[EXPIRED, REPLACED]) as one:
        host(EXPIRED).check_output("cat /run/expired.crt > %s && systemctl reload dockmaster-gateway", SERVER)
        one.inject("expired")
        one.await_(
            "both balancers say so", 30, lambda: all("expired" in source(b, EXPIRED)["error"] for b in BALANCERS)
        )
        assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known
        assert one.served_by(EXPIRED) > 0
        takes_up_changes(REPLACED)


def replace() -> None:
    """Another machine takes a host's name and address, without a word of the one before."""
    old = containers(REPLACED)
    with fault(
        f"{short(REPLACED)} replaced by a bare machine", Allowed(posts=20, why=SWALLOWED), serving=[EXPIRED, REPLACED]
    ) as one:
        docker.from_env().containers.get(REPLACED).remove(force=True, v=True)
        one.inject("it is gone for good")
        one.await_(
            "HAProxy's checks took its servers out",
            30,
            lambda: all(word.startswith("DOWN") for b in BALANCERS for word in servers(b, REPLACED).values()),
        )
        play("molecule/common/create.yml", "--limit", REPLACED)
        one.inject("a bare machine has its name and address")
        one.await_(
            "its last known servers are still known, and down",
            10,
            lambda: all(
                set(servers(b, REPLACED).values()) == {"DOWN"}
                and all(any(container in server for server in servers(b, REPLACED)) for container in old)
                for b in BALANCERS
            ),
        )


def certificate(name: str, path: str) -> x509.Certificate:
    """A certificate that a host has."""
    return x509.load_pem_x509_certificate(host(name).file(path).content)


def statuses(credentials: Credentials, docker_host: str) -> list[int]:
    """What the gateway answers to a question that is allowed."""
    [answer] = ask(STOLEN, docker_host, [request("GET", "/version")], credentials)
    return list(answer.statuses)
