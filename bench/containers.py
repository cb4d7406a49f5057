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
"""The command of a container that answers at little cost."""

LABELS = {
    "dockmaster.test": "bench",
    "easyhaproxy.http.host": HOST,
    "easyhaproxy.http.port": str(BALANCER_PORT),
    "easyhaproxy.http.localport": str(INSIDE),
}
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Running:
    """A running container, and where it answers directly.

    Attributes:
        container: the container.
        name: the text in its answers.
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
    """Create a container without starting it.

    Args:
        publish: the address of the machine that its port is published on; None does not publish it.
        port: the published port; None lets Docker choose one at each start.
        healthcheck: whether Docker checks its health every second.
        command: runs instead of the application.
        environment: environment variables of the application.
    """
    more: dict[str, Any] = {}
    if publish:
        more["ports"] = {f"{INSIDE}/tcp": (publish, port) if port else (publish,)}
    if healthcheck:
        test = ["CMD", "python3", "-S", "-E", "/server.py", "health"]
        more["healthcheck"] = {"test": test, "interval": SECOND, "timeout": SECOND, "retries": 3}
    return client.containers.create(IMAGE, command, labels=LABELS, environment=environment, **more)


def run(client: docker.DockerClient, **more: Any) -> Running:
    """Start a container of the application, with the arguments of ``create``. It may not answer yet."""
    container = create(client, **more)
    container.start()
    return running(container)


def running(container: Container) -> Running:
    """Return where a started container answers."""
    container.reload()
    network = container.attrs["NetworkSettings"]
    published = network["Ports"].get(f"{INSIDE}/tcp")
    if not published:
        return Running(container, short(container), (network["IPAddress"], INSIDE))
    return Running(container, short(container), (published[0]["HostIp"], int(published[0]["HostPort"])))


def short(container: Container) -> str:
    """Return the short id of a container, which is also its host name."""
    return str(container.id)[:12]


def free_port() -> int:
    """Return a port that nothing else uses: each one once, and below the range of clients."""
    return next(_ports)


_ports = itertools.count(10_000)
