"""A container as Docker's list shows it, checked: whatever is in there is input from strangers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .endpoint import ip_address, valid_container_id, valid_port

_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)\Z")
MAX_ENTRIES = 1024
"""Labels, ports or networks of one container that are looked at: a range of ports may be long, not endless."""


@dataclass(frozen=True)
class PublishedPort:
    """A port of the container that the Docker host publishes: ``ip`` is empty for every address."""

    ip: str
    private: int
    public: int


@dataclass(frozen=True)
class Container:
    """What the list says of one container.

    Attributes:
        id: the whole id.
        name: the first name without its slash, or the empty string.
        image: the image as Docker shows it: a reference, or an id where the tag has moved on.
        state: ``running``, ``exited``, ``paused``, ...
        health: ``healthy``, ``unhealthy``, ``starting``, or None without a HEALTHCHECK.
        labels: as set by whoever made the container.
        ports: TCP ports that the Docker host publishes.
        networks: addresses by network, IPv4 before IPv6; none where the container has the host's network.
        host_network: whether it listens on the host's own addresses.
    """

    id: str
    name: str
    image: str
    state: str
    health: str | None
    labels: dict[str, str]
    ports: tuple[PublishedPort, ...]
    networks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    host_network: bool = False

    @property
    def healthy(self) -> bool:
        """Whether it runs, and Docker holds it fit to serve."""
        return self.state == "running" and self.health in (None, "healthy")

    @property
    def unhealthy(self) -> bool:
        """Whether it runs, and its health check or a pause says no: it may be better than none."""
        return self.state == "paused" or (self.state == "running" and self.health == "unhealthy")

    @classmethod
    def parse(cls, raw: object) -> Container:
        """Read one entry of ``GET /containers/json``; raises ValueError with what is wrong."""
        if not isinstance(raw, dict):
            raise ValueError(f"expected an object, not {type(raw).__name__}")
        try:
            container_id = valid_container_id(raw.get("Id"))
        except ValueError as error:
            raise ValueError(f"Id: {error}") from None
        labels = _some(raw, "Labels", dict)
        names = _some(raw, "Names", list)
        networks = _some(_some(raw, "NetworkSettings", dict), "Networks", dict)
        health = _HEALTH.search(_text(raw, "Status")[-64:])
        return cls(
            id=container_id,
            name=str(names[0])[:256].lstrip("/") if names else "",
            image=_text(raw, "Image"),
            state=_text(raw, "State"),
            health=health[1].removeprefix("health: ") if health else None,
            labels={key: value for key, value in labels.items() if isinstance(key, str) and isinstance(value, str)},
            ports=tuple(_ports(_some(raw, "Ports", list))),
            networks={name: _addresses(network) for name, network in networks.items() if isinstance(name, str)},
            host_network=_some(raw, "HostConfig", dict).get("NetworkMode") == "host",
        )


def _some(raw: dict[str, Any], key: str, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """A list or dictionary of bounded size; an absent or null one is empty."""
    value = raw.get(key)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ValueError(f"{key}: expected {'an object' if kind is dict else 'a list'}, not {type(value).__name__}")
    if len(value) > MAX_ENTRIES:
        raise ValueError(f"{key}: {len(value)} entries; expected {MAX_ENTRIES} at the most")
    return value


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key}: expected text, not {type(value).__name__}")
    return value


def _ports(raw: list[Any]) -> list[PublishedPort]:
    """The published TCP ports; UDP is not TCP, and a port without a public one is not published."""
    ports = []
    for entry in raw:
        if not isinstance(entry, dict):
            raise ValueError("Ports: expected objects")
        if entry.get("Type", "tcp") != "tcp" or not entry.get("PublicPort"):
            continue
        try:
            private, public = valid_port(entry.get("PrivatePort")), valid_port(entry["PublicPort"])
        except ValueError as error:
            raise ValueError(f"Ports: {error}") from None
        ip = entry.get("IP") or ""
        if not isinstance(ip, str):
            raise ValueError("Ports: IP: expected text")
        ports.append(PublishedPort(ip, private, public))
    return ports


def _addresses(network: object) -> tuple[str, ...]:
    """The container's addresses on one network; what is no address does not count."""
    if not isinstance(network, dict):
        raise ValueError("NetworkSettings: expected objects")
    found = (ip_address(network.get(key)) for key in ("IPAddress", "GlobalIPv6Address"))
    return tuple(str(ip) for ip in found if ip is not None)
