"""Playbooks on the whole cluster: with nothing to change, and with many changes at once."""

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
    follow_containers,
    host,
    inventory,
    play,
    property_of,
    servers,
    source,
    status,
    whole,
)
from credentials import pem, real
from cryptography import x509
from fault import Allowed, fault, short

EXPIRED, REPLACED, REMOVED = DOCKER_HOSTS
STOLEN = BALANCERS[0]
SERVER = "/etc/dockmaster-gateway/tls/server.crt"
STOLEN_KEY = Credentials(BALANCERS_OWN.ca, "/run/stolen.crt", "/run/stolen.key")
MANY_DAYS = 100000
"""More than any certificate has left, so every certificate is renewed."""

SWALLOWED = (
    "HAProxy sent these to the host before its check failed; they are not repeated, "
    "because nobody knows whether the host has processed them"
)


def test_a_second_run_changes_nothing() -> None:
    with fault("site.yml on all hosts, with nothing to change") as one:
        one.inject("site.yml begins")
        output = play("site.yml")
        one.await_("it has ended, and the cluster works", 10, whole)
    changed = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", output, re.MULTILINE)
    assert {name: int(count) for name, count in changed} == dict.fromkeys([*DOCKER_HOSTS, *BALANCERS], 0)


def test_one_run_renews_revokes_replaces_and_adds(tmp_path: Path) -> None:
    steal()
    remove_from_inventory(tmp_path)
    expire()
    replace()
    gateways = {docker_host: property_of(docker_host, "dockmaster-gateway") for docker_host in (EXPIRED, REMOVED)}
    before = {docker_host: certificate(docker_host, SERVER).serial_number for docker_host in (EXPIRED, REMOVED)}
    stolen = certificate(STOLEN, "/run/stolen.crt").serial_number
    variables = {"certificate_authority_revoked": [stolen], "certificate_renew_before": MANY_DAYS}

    name = (
        f"site.yml: {short(REPLACED)} installed again, {short(REMOVED)} added, certificate of {short(STOLEN)} revoked, "
        "every certificate renewed"
    )
    with fault(name, serving=[EXPIRED]) as one:
        one.inject("site.yml begins")
        play("site.yml", "--extra-vars", json.dumps(variables))
        one.await_("it has ended, and the cluster works", 10, whole)
        for docker_host, pid in gateways.items():
            assert certificate(docker_host, SERVER).serial_number != before[docker_host]
            # A reload, not a restart.
            assert property_of(docker_host, "dockmaster-gateway") == pid
        # No servers of the former machine are left.
        assert all(len(servers(balancer, REPLACED)) == len(containers(REPLACED)) for balancer in BALANCERS)
        for docker_host in DOCKER_HOSTS:
            assert statuses(STOLEN_KEY, docker_host) == []
            assert statuses(BALANCERS_OWN, docker_host) == [200]
            assert one.served_by(docker_host) > 0
            follow_containers(docker_host)
        assert host(STOLEN).run("cmp /run/stolen.key %s", BALANCERS_OWN.key).rc == 1


def steal() -> None:
    """Copy the key of a balancer, which every gateway accepts so far."""
    for kind in ("crt", "key"):
        host(STOLEN).check_output(f"cp -p /etc/dockmaster/tls/client.{kind} /run/stolen.{kind}")
    assert all(statuses(STOLEN_KEY, docker_host) == [200] for docker_host in DOCKER_HOSTS)


def remove_from_inventory(folder: Path) -> None:
    """Remove a host from the inventory, but not what runs on it."""
    less = inventory(folder / "less", without=[REMOVED])
    with fault(f"{short(REMOVED)} removed from the inventory") as one:
        one.inject("load_balancers.yml begins")
        play("playbooks/load_balancers.yml", inventory=less)
        one.await_(
            "both balancers have removed its servers", 30, lambda: not any(servers(b, REMOVED) for b in BALANCERS)
        )
        one.await_("it serves no request", 10, lambda: one.served_by(REMOVED) == 0)
        for balancer in BALANCERS:
            assert {row["docker_host"] for row in status(balancer)["sources"]} == {EXPIRED, REPLACED}
            assert status(balancer)["healthy"]
    assert containers(REMOVED)


def expire() -> None:
    """Let the certificate of a gateway expire."""
    known = {balancer: set(servers(balancer)) for balancer in BALANCERS}
    key = certificate(EXPIRED, SERVER).public_key()
    put(EXPIRED, "/run/expired.crt", pem(real().sign(EXPIRED, key, days_ago=1, server=True)))
    with fault(f"certificate of {short(EXPIRED)}'s gateway expired", serving=[EXPIRED, REPLACED]) as one:
        host(EXPIRED).check_output("cat /run/expired.crt > %s && systemctl reload dockmaster-gateway", SERVER)
        one.inject("the certificate has expired")
        one.await_(
            "both balancers report it", 30, lambda: all("expired" in source(b, EXPIRED)["error"] for b in BALANCERS)
        )
        assert {balancer: set(servers(balancer)) for balancer in BALANCERS} == known
        assert one.served_by(EXPIRED) > 0
        follow_containers(REPLACED)


def replace() -> None:
    """Replace a host by another machine with the same name and address."""
    old = containers(REPLACED)
    with fault(
        f"{short(REPLACED)} replaced by a bare machine", Allowed(posts=20, why=SWALLOWED), serving=[EXPIRED, REPLACED]
    ) as one:
        docker.from_env().containers.get(REPLACED).remove(force=True, v=True)
        one.inject("the machine is removed")
        one.await_(
            "HAProxy's checks have failed",
            30,
            lambda: all(word.startswith("DOWN") for b in BALANCERS for word in servers(b, REPLACED).values()),
        )
        play("molecule/common/create.yml", "--limit", REPLACED)
        one.inject("a bare machine has its name and address")
        one.await_(
            "its last known servers are still there, and down",
            10,
            lambda: all(
                set(servers(b, REPLACED).values()) == {"DOWN"}
                and all(any(container in server for server in servers(b, REPLACED)) for container in old)
                for b in BALANCERS
            ),
        )


def certificate(name: str, path: str) -> x509.Certificate:
    """Read a certificate on a host."""
    return x509.load_pem_x509_certificate(host(name).file(path).content)


def statuses(credentials: Credentials, docker_host: str) -> list[int]:
    """Return the statuses of a gateway's answers to an allowed request."""
    [answer] = ask(STOLEN, docker_host, [request("GET", "/version")], credentials)
    return list(answer.statuses)
