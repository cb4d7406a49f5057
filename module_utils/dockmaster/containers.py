"""A container as Docker's list shows it, checked: whatever is in there is input from strangers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .model import valid_container_id, valid_port

_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)\Z")


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
    """

    id: str
    name: str
    image: str
    state: str
    health: str | None
    labels: dict[str, str]
    ports: tuple[PublishedPort, ...]

    @property
    def ready(self) -> bool:
        """Whether Docker holds it fit to serve."""
        return self.state == "running" and self.health in (None, "healthy")

    @classmethod
    def parse(cls, raw: object) -> Container:
        """Read one entry of ``GET /containers/json``; raises ValueError with what is wrong."""
        if not isinstance(raw, dict):
            raise ValueError(f"expected an object, not {type(raw).__name__}")
        labels = raw.get("Labels") or {}
        names = raw.get("Names") or []
        ports = raw.get("Ports") or []
        if not isinstance(labels, dict) or not isinstance(names, list) or not isinstance(ports, list):
            raise ValueError("Labels, Names or Ports have a form that Docker does not give them")
        try:
            container_id = valid_container_id(raw.get("Id"))
        except ValueError as error:
            raise ValueError(f"Id: {error}") from None
        health = _HEALTH.search(_text(raw, "Status"))
        return cls(
            id=container_id,
            name=str(names[0]).lstrip("/") if names else "",
            image=_text(raw, "Image"),
            state=_text(raw, "State"),
            health=health[1].removeprefix("health: ") if health else None,
            labels={key: value for key, value in labels.items() if isinstance(value, str)},
            ports=tuple(_ports(ports)),
        )


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
