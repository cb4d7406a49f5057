"""Ask a gateway from a host of the cluster."""

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
    """What a client has, as paths on its host.

    Attributes:
        authority: whom it trusts; None for everybody.
        certificate: its own; None for none.
        key: that one's.
        protocols: what it offers by ALPN.
    """

    authority: str | None = None
    certificate: str | None = None
    key: str | None = None
    protocols: Sequence[str] = ()


BALANCERS_OWN = Credentials(f"{TLS}/ca.crt", f"{TLS}/client.crt", f"{TLS}/client.key")


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        statuses: of all answers on its connection.
        text: the beginning of what came.
        error: why nothing more came, where that was an error.
    """

    statuses: Sequence[int]
    text: str
    error: str

    @property
    def refused(self) -> bool:
        """Whether nothing but refusals came: of the request (4xx), of its form (501), or of the connection."""
        return all(400 <= status < 500 or status == 501 for status in self.statuses)


def request(method: str, target: str, *headers: str, body: str = "", version: str = "HTTP/1.1") -> str:
    """A request on a connection that ends with it."""
    lines = [f"{method} {target} {version}", "Host: docker", "Connection: close", *headers]
    return "\r\n".join([*lines, "", body])


def ask(name: str, docker_host: str, requests: Sequence[str], credentials: Credentials | None) -> list[Answer]:
    """Send each request on a connection of its own from a host to a gateway; without credentials in the clear."""
    tls: dict[str, Any] | None = None
    if credentials:
        tls = {
            "ca": credentials.authority,
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
    """Write a file on a host, in pieces that a command line takes."""
    host(name).check_output("rm -f %s", path)
    for start in range(0, len(text), 60000):
        host(name).check_output("umask 077; printf %%s %s >> %s", text[start : start + 60000], path)
