"""What the Docker hosts have said so far: which container is which server, and whether Docker holds it fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from .config.settings import Service
from .haproxy.servers import Key, key_of
from .model.endpoint import Endpoint
from .sources.docker.discovery import Listed

ContainerKey = tuple[str, str]
"""Docker host and id."""


@dataclass(frozen=True)
class Placed:
    """A container as a server of a service.

    Attributes:
        service: the service.
        backend: the container there.
        fit: whether Docker holds it fit to serve.
    """

    service: Service
    backend: Endpoint
    fit: bool

    @property
    def container(self) -> ContainerKey:
        """Which container it is."""
        return self.backend.docker_host, self.backend.container_id


class View:
    """Everything that is known of the containers. A change costs as much as it is large, whatever else there is."""

    def __init__(self) -> None:
        self.placed: dict[Key, Placed] = {}
        self._keys: dict[ContainerKey, set[Key]] = {}
        self._containers: dict[str, set[str]] = {}

    def keys(self, container: ContainerKey) -> frozenset[Key]:
        """The servers that a container is."""
        return frozenset(self._keys.get(container, ()))

    def attributed(self, host: str, ids: Collection[str] | None) -> dict[str, set[str]]:
        """Ids of a host's containers by service: of these, or of all where None is given."""
        found: dict[str, set[str]] = {}
        for container in self._containers.get(host, ()) if ids is None else ids:
            for key in self._keys.get((host, container), ()):
                found.setdefault(self.placed[key].service.name, set()).add(container)
        return found

    def fit(self, serves: Callable[[Placed], bool]) -> dict[str, list[Endpoint]]:
        """What is to get traffic, by service."""
        found: dict[str, list[Endpoint]] = {}
        for placed in self.placed.values():
            if serves(placed):
                found.setdefault(placed.service.name, []).append(placed.backend)
        return found

    def told(
        self,
        host: str,
        listed: Listed,
        services: Mapping[str, Service],
        ids: Collection[str] | None,
        newer: Collection[str] = (),
    ) -> dict[str, set[Key]]:
        """Take over what a host said.

        Args:
            host: its name.
            listed: what it said.
            services: by name.
            ids: the containers that it was asked about; None for all.
            newer: containers of which something is known that is newer.

        Returns:
            The servers that have changed, by container.
        """
        now: dict[str, dict[Key, Placed]] = {}
        for some, fit in ((listed.backends, True), (listed.doubtful, False)):
            for name, backends in some.items():
                for backend in backends:
                    placed = Placed(services[name], backend, fit)
                    now.setdefault(backend.container_id, {})[key_of(services[name], backend)] = placed
        scope = set(ids) if ids is not None else {*self._containers.get(host, ()), *now}
        changed: dict[str, set[Key]] = {}
        # Those that are gone come first: another may have taken the place of one.
        for container in sorted(scope.difference(newer), key=now.__contains__):
            before = self.keys((host, container))
            after = {key: one for key, one in now.get(container, {}).items() if self._free(key, (host, container))}
            keys = {key for key in before | after.keys() if self.placed.get(key) != after.get(key)}
            if keys:
                changed[container] = keys
            self._put(host, container, after)
        return changed

    def gone(self, container: ContainerKey) -> frozenset[Key]:
        """A container runs no more; returns the servers that it was."""
        keys = self.keys(container)
        self._put(*container, {})
        return keys

    def unfit(self, container: ContainerKey) -> frozenset[Key]:
        """A container is not fit to serve for now; returns the servers that it is."""
        keys = self.keys(container)
        for key in keys:
            self.placed[key] = replace(self.placed[key], fit=False)
        return keys

    def last_known(self, host: str, services: Iterable[Service], known: Mapping[str, Iterable[Endpoint]]) -> None:
        """A host does not answer, and nothing was heard of it before: what served last is there still."""
        if host in self._containers:
            return
        for service in services:
            for backend in known.get(service.name, ()):
                if backend.docker_host == host and not backend.given_name:
                    there = {key: self.placed[key] for key in self.keys((host, backend.container_id))}
                    there[key_of(service, backend)] = Placed(service, backend, fit=True)
                    self._put(host, backend.container_id, there)

    def _free(self, key: Key, container: ContainerKey) -> bool:
        """Whether no other container is this server: only a host that lies shows two of one short id."""
        placed = self.placed.get(key)
        return placed is None or placed.container == container

    def _put(self, host: str, container: str, placed: Mapping[Key, Placed]) -> None:
        for key in self._keys.pop((host, container), ()):
            del self.placed[key]
        ids = self._containers.setdefault(host, set())
        ids.discard(container)
        if placed:
            ids.add(container)
            self._keys[host, container] = set(placed)
            self.placed.update(placed)
