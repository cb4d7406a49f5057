"""Containers of the measured application."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import docker
from docker.models.containers import Container

from .engine import IMAGE

LOOPBACK = "127.0.0.1"
HOST = "bench.test"
"""The name that clients ask for: EasyHAProxy routes by it."""
BALANCER_PORT = 8080
INSIDE = 8000
ORIGIN = ["haproxy", "-f", "/origin.cfg"]
"""The command of a container that costs little to answer."""

LABELS = {
    "dockmaster.test": "bench",
    "easyhaproxy.http.host": HOST,
    "easyhaproxy.http.port": str(BALANCER_PORT),
    "easyhaproxy.http.localport": str(INSIDE),
}
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Running:
    """A container and where it answers directly.

    Attributes:
        container: to stop, to restart.
        name: what its answers carry.
        address: host and port.
    """

    container: Container
    name: str
    address: tuple[str, int]


def create(
    client: docker.DockerClient,
    *,
    publish: str | None = LOOPBACK,
    port: int | None = None,
    healthcheck: bool = False,
    command: list[str] | None = None,
    **environment: str,
) -> Container:
    """Make a container that is not started yet.

    Args:
        publish: on which address of the machine; None does not publish it.
        port: at which port; None lets Docker choose one at every start.
        healthcheck: whether Docker is to ask it, every second.
        command: instead of the application.
        environment: of the application.
    """
    more: dict[str, Any] = {}
    if publish:
        more["ports"] = {f"{INSIDE}/tcp": (publish, port) if port else (publish,)}
    if healthcheck:
        test = ["CMD", "python3", "-S", "-E", "/server.py", "health"]
        more["healthcheck"] = {"test": test, "interval": SECOND, "timeout": SECOND, "retries": 3}
    return client.containers.create(IMAGE, command, labels=LABELS, environment=environment, **more)


def run(client: docker.DockerClient, **more: Any) -> Running:
    """Start a container of the application, as ``create`` takes it; it may not answer yet."""
    container = create(client, **more)
    container.start()
    return running(container)


def running(container: Container) -> Running:
    """A container that was started, or started again."""
    container.reload()
    network = container.attrs["NetworkSettings"]
    published = network["Ports"].get(f"{INSIDE}/tcp")
    if not published:
        return Running(container, short(container), (network["IPAddress"], INSIDE))
    return Running(container, short(container), (published[0]["HostIp"], int(published[0]["HostPort"])))


def short(container: Container) -> str:
    """What a container calls itself."""
    return str(container.id)[:12]


def free_port() -> int:
    """A port that nobody else has: below those that clients get, and a new one each time."""
    return next(_ports)


_ports = itertools.count(10_000)
