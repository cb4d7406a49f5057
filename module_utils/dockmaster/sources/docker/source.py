"""The source ``docker``: one Docker host."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ...config.settings import DockerHost, Service, Settings
from ..protocol import Answer, Follower, Known, Messages
from .client import DockerClient
from .discovery import endpoints_of
from .follower import DockerFollower


class Docker:
    """One Docker host.

    Args:
        host: how it is reached.
        services: those that it is asked for.
        names: of all services of the configuration.
    """

    def __init__(self, host: DockerHost, services: Sequence[Service], names: Collection[str]) -> None:
        self.host = host
        self._services = services
        self._names = names

    @property
    def name(self) -> str:
        """The Docker host's name."""
        return self.host.name

    def ask(self, known: Known, timeout: int) -> Answer:
        """List the running containers; an image that Docker shows by id is asked for. Raises SourceError."""
        client = DockerClient(self.host.name, self.host.url, timeout, tls=self.host.tls)
        try:
            return endpoints_of(
                self._services,
                self.host.name,
                self.host.host,
                client.containers(),
                known=known,
                resolve=client.image_of,
                names=self._names,
            )
        finally:
            client.close()

    def read(self, entries: Sequence[Any], known: Known) -> Answer:
        """What a list of containers means; nothing more is asked for."""
        return endpoints_of(self._services, self.host.name, self.host.host, entries, known=known, names=self._names)

    def follow(self, messages: Messages, resync_interval: float) -> Follower:
        """Follow its events."""
        return DockerFollower(self.host, messages, resync_interval)


def sources(settings: Settings) -> dict[str, Docker]:
    """Every Docker host that the configuration names, with the services that it is asked for."""
    asked: dict[str, list[Service]] = {}
    for service in settings.services:
        for host in service.discovery.servers:
            asked.setdefault(host.name, []).append(service)
    names = frozenset(service.name for service in settings.services)
    return {name: Docker(host, asked[name], names) for name, host in settings.docker_hosts.items()}
