"""What is really so in a simulated world, whoever knows it: by which the engine's promises are judged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dockmaster.config.settings import Service
from dockmaster.haproxy.servers import Key

from tests.simulation.simulated_docker import Container, SimulatedHost
from tests.simulation.world import World

_NAME = re.compile(r"(?:(.+)_)?([0-9a-f]{12})_([0-9]{1,5})\Z")


@dataclass(frozen=True)
class Running:
    """A container that runs, as a server of a service."""

    service: Service
    host: SimulatedHost
    container: Container

    @property
    def key(self) -> Key:
        """Section and name of the server that it has to be."""
        prefix = f"{self.host.name}_" if self.service.named_with_host else ""
        return self.service.proxy.backend_name, f"{prefix}{self.container.id[:12]}_{self.container.port}"

    @property
    def is_well(self) -> bool:
        """Whether Docker holds it fit."""
        return not self.container.paused and self.container.health in ("", "healthy")


def running(world: World) -> Iterator[Running]:
    """Every container that is of a service and can be reached."""
    for service in world.settings.services:
        for asked in service.discovery.servers:
            host = world.machines.hosts[asked.name]
            for container in host.containers.values():
                image = service.discovery.image
                if container.port and image and image.repository == container.image:
                    yield Running(service, host, container)


def is_drained(world: World, one: Running) -> bool:
    """Whether the operator has drained it."""
    names = ("", one.container.name, one.container.id)
    return any(drain.docker_host == one.host.name and drain.container in names for drain in world.drains)


def usable(world: World, section: str | None = None) -> set[Key]:
    """The servers that get new requests."""
    return {key for key, one in world.haproxy.servers().items() if one.usable and section in (None, key[0])}


def container_of(world: World, key: Key) -> tuple[SimulatedHost, Container] | None:
    """The container that a server stands for, and its host; None if it does not run there."""
    found = _NAME.match(key[1])
    for host in world.machines.hosts.values() if found else ():
        for container in host.containers.values():
            if found and container.id.startswith(found[2]) and container.port == int(found[3]):
                return host, container
    return None


def is_a_container(key: Key) -> bool:
    """Whether a server stands for a container."""
    return _NAME.match(key[1]) is not None
