"""What an endpoint is, and what a name, a host or a port may look like.

Nothing else decides what may stand in haproxy.cfg as a name or an address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}\Z")
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?\Z")
_CONTAINER_ID = re.compile(r"[0-9a-f]{12,64}\Z")

_LONGEST_ADDRESS = 64

SHORT_ID = 12
"""Characters of a container's id that Docker itself shows, and that a server is named after."""


def valid_name(value: object) -> str:
    """Return value if HAProxy takes it as the name of a section or a server, else raise ValueError."""
    if not isinstance(value, str) or not _NAME.match(value):
        raise ValueError("expected a name of letters, digits and _ . : - that begins with a letter or digit")
    return value


def valid_host(value: object) -> str:
    """Return value if it is an IP address or a host name, else raise ValueError."""
    if isinstance(value, str):
        if _HOST_NAME.match(value):
            return value
        ip = ip_address(value)
        if ip is not None:
            return str(ip)
    raise ValueError("expected an IP address or a host name")


def ip_address(value: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text is, or None. One with a scope (``%eth0``) is none: anything may stand behind a ``%``."""
    if not isinstance(value, str) or "%" in value or len(value) > _LONGEST_ADDRESS:
        return None
    return _ip_address(value)


@lru_cache(maxsize=4096)
def _ip_address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        return None


def valid_port(value: object) -> int:
    """Return value if it is a port, else raise ValueError. A string of digits is not a port."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise ValueError("expected a whole number from 1 to 65535")
    return value


def valid_container_id(value: object) -> str:
    """Return value if it is a container's id in hexadecimal digits, else raise ValueError."""
    if not isinstance(value, str) or not _CONTAINER_ID.match(value):
        raise ValueError("expected 12 to 64 hexadecimal digits")
    return value


def joined(host: str, port: int) -> str:
    """An address as HAProxy writes it: an IPv6 address goes into brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _whole(what: str, value: object, largest: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise ValueError(f"{what}: {value!r}: expected a whole number from 0 to {largest}")


@dataclass(frozen=True, order=True)
class Endpoint:
    """One address that can serve a service: one ``server`` line of haproxy.cfg.

    Attributes:
        docker_host: name of the Docker host that runs the container.
        container_id: the whole id.
        host: the address that HAProxy dials.
        port: the port that HAProxy dials.
        container_name: for people; never part of haproxy.cfg.
        image: the image's name as Docker shows it; likewise.
        weight: instead of the service's own; None leaves that.
        backup: whether it serves only when the others cannot.
        maxconn: connections at one time; None does not limit them.
        given_name: the server's name, where the configuration names it (a default server); its
            container_id is empty then.
        unhealthy: whether its health check in Docker failed, when it was last listed.
        paused: whether Docker has paused the container: it accepts requests and never answers.
    """

    docker_host: str
    container_id: str
    host: str
    port: int
    container_name: str = ""
    image: str = ""
    weight: int | None = field(default=None, compare=False)
    backup: bool = False
    maxconn: int | None = field(default=None, compare=False)
    given_name: str = ""
    unhealthy: bool = field(default=False, compare=False)
    paused: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        valid_host(self.host)
        valid_port(self.port)
        if self.given_name:
            valid_name(self.given_name)
            return
        valid_name(self.docker_host)
        valid_container_id(self.container_id)
        _whole("weight", self.weight, 256)
        _whole("maxconn", self.maxconn, 1_000_000)
        if not isinstance(self.backup, bool):
            raise ValueError(f"backup: {self.backup!r}: expected true or false")

    @property
    def address(self) -> str:
        """Host and port, as HAProxy writes them."""
        return joined(self.host, self.port)

    def server_name(self, *, with_host: bool) -> str:
        """Name of the server in HAProxy: the container and where it listens, never an index.

        A restarted container keeps its id and changes its port; that is then another server.
        """
        if self.given_name:
            return self.given_name
        name = f"{self.container_id[:SHORT_ID]}_{self.port}"
        return f"{self.docker_host}_{name}" if with_host else name

    def options(self) -> str:
        """What its server line has beyond the service's own options."""
        options = [f"weight {self.weight}"] if self.weight is not None else []
        options += [f"maxconn {self.maxconn}"] if self.maxconn is not None else []
        options += ["backup"] if self.backup else []
        return " ".join(options)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON and Ansible."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, data: object) -> Endpoint:
        """Read plain data back; raises ValueError with what is wrong."""
        if not isinstance(data, dict):
            raise ValueError(f"{data!r} is not an endpoint: expected a dictionary")
        try:
            return cls(
                docker_host=data["docker_host"],
                container_id=data["container_id"],
                host=data["host"],
                port=data["port"],
                container_name=str(data.get("container_name", "")),
                image=str(data.get("image", "")),
                weight=data.get("weight"),
                backup=data.get("backup", False),
                maxconn=data.get("maxconn"),
                given_name=str(data.get("given_name", "")),
                unhealthy=data.get("unhealthy") is True,
                paused=data.get("paused") is True,
            )
        except KeyError as missing:
            raise ValueError(f"an endpoint lacks {missing}") from None


def in_order(*backends: Iterable[Endpoint]) -> list[Endpoint]:
    """All of them in the order of the file, each once."""
    # A set would shuffle what mostly is in order already, and ten thousand take long to sort from nothing.
    return sorted(dict.fromkeys(chain(*backends)))


@dataclass(frozen=True)
class Rejection:
    """A container that was meant for a service and cannot serve it.

    Attributes:
        service: the service's name.
        docker_host: the Docker host that listed it.
        container: short id, or what stands in its place.
        reason: why, in a sentence.
    """

    service: str
    docker_host: str
    container: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """The same as plain data."""
        return asdict(self)
