"""Send requests to a gateway from a host of the cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import GATEWAY, address, host

TLS = "/etc/dockmaster/tls"
_PROGRAM = (Path(__file__).parent / "raw.py").read_text()


@dataclass(frozen=True)
class Credentials:
    """What a client uses for TLS, as paths on its host.

    Attributes:
        ca: the CA that it trusts; None trusts every server.
        certificate: the client's certificate; None for none.
        key: the key of the certificate.
        protocols: what it offers by ALPN.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    protocols: Sequence[str] = ()


BALANCERS_OWN = Credentials(f"{TLS}/ca.crt", f"{TLS}/client.crt", f"{TLS}/client.key")


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        statuses: of all answers on its connection.
        text: the first part of what was received.
        error: why the connection failed; empty if it did not.
    """

    statuses: Sequence[int]
    text: str
    error: str

    @property
    def refused(self) -> bool:
        """Whether the gateway refused every request (4xx), its method (501), or the connection."""
        return all(400 <= status < 500 or status == 501 for status in self.statuses)


def request(method: str, target: str, *headers: str, body: str = "", version: str = "HTTP/1.1") -> str:
    """Return a request that asks to close the connection."""
    lines = [f"{method} {target} {version}", "Host: docker", "Connection: close", *headers]
    return "\r\n".join([*lines, "", body])


def ask(name: str, docker_host: str, requests: Sequence[str], credentials: Credentials | None) -> list[Answer]:
    """Send each request on its own connection from a host to a gateway; without credentials, without TLS."""
    tls: dict[str, Any] | None = None
    if credentials:
        tls = {
            "ca": credentials.ca,
            "certificate": credentials.certificate,
            "key": credentials.key,
            "name": docker_host,
            "protocols": list(credentials.protocols) or None,
        }
    plan = {"address": address(docker_host), "port": GATEWAY, "tls": tls, "requests": list(requests)}
    put(name, "/tmp/plan.json", json.dumps(plan))
    answers = json.loads(host(name).check_output("python3 -c %s /tmp/plan.json", _PROGRAM))
    return [Answer(**answer) for answer in answers]


def put(name: str, path: str, text: str) -> None:
    """Write a file on a host, in pieces that fit on a command line."""
    host(name).check_output("rm -f %s", path)
    for start in range(0, len(text), 60000):
        host(name).check_output("umask 077; printf %%s %s >> %s", text[start : start + 60000], path)
