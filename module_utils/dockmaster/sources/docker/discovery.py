"""Which containers of a Docker host serve which service: pure, and the same for every door."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ...config.settings import Discovery, Service
from ...model.container import Container
from ...model.endpoint import SHORT_ID, Endpoint, Rejection, in_order
from ...model.image import Reference
from ...model.labels import SERVICE_LABEL, overrides
from ...model.ports import dialled, published

COMPOSE_LABEL = "com.docker.compose.project"

Known = Mapping[str, Collection[str]]
"""Ids of containers by the service that they were attributed to when they were last seen."""

Resolve = Callable[[str], str | None]
"""The image that a container was made from, by its id, or None where the Docker host does not say; a ValueError
where it takes too long."""


class ImageUnknown(ValueError):
    """Docker shows a container's image by id, and nobody says which it is."""


@dataclass(frozen=True)
class Listed:
    """What a Docker host's list says.

    Attributes:
        backends: by the service's name; an empty list is a fact.
        doubtful: those whose containers run and that Docker holds unfit: paused, or unhealthy.
        refused: containers that cannot serve, and why.
        unclear: ids of those among them whose image would have to be asked for.
        names: the name of every container that runs, by id, whatever it serves.
    """

    backends: dict[str, list[Endpoint]]
    doubtful: dict[str, list[Endpoint]]
    refused: list[Rejection]
    unclear: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)


def endpoints_of(
    services: Iterable[Service],
    docker_host: str,
    address: str,
    listed: Iterable[object],
    *,
    known: Known | None = None,
    resolve: Resolve | None = None,
) -> Listed:
    """The backends of each service on one Docker host.

    Args:
        services: those that this Docker host is asked for.
        docker_host: the host's name.
        address: what HAProxy dials to reach the host's published ports.
        listed: the entries of ``GET /containers/json``.
        known: what was attributed before stays so, though its tag has moved on.
        resolve: asks for the image of a container that Docker shows by id.
    """
    services = list(services)
    found: dict[str, list[Endpoint]] = {service.name: [] for service in services}
    doubtful: dict[str, list[Endpoint]] = {service.name: [] for service in services}
    refused: list[Rejection] = []
    unclear: set[str] = set()
    seen: dict[str, str] = {}
    named: set[tuple[str, str]] = set()
    for number, raw in enumerate(listed):
        try:
            container = Container.parse(raw)
            if container.id in seen:
                raise ValueError(f"the id {container.id[:SHORT_ID]} is in the list twice")
        except ValueError as error:
            refused.append(Rejection("", docker_host, f"entry {number} of the list", str(error)))
            continue
        seen[container.id] = container.name
        if not container.ready and not container.doubtful:
            continue
        image = _Image(container, resolve)
        for service in services:
            try:
                attributed = container.id in (known or {}).get(service.name, ())
                if belongs(container, service, image, attributed=attributed):
                    backend = _backend(container, service, docker_host, address)
                    server = (service.name, backend.server_name(with_host=False))
                    if server in named:
                        # HAProxy refuses a file with two servers of one name: one would hold up all.
                        raise ValueError(f"another container already has the server's name {server[1]}")
                    named.add(server)
                    (found if container.ready else doubtful)[service.name].append(backend)
            except ValueError as error:
                if isinstance(error, ImageUnknown):
                    unclear.add(container.id)
                refused.append(Rejection(service.name, docker_host, container.id[:SHORT_ID], str(error)))
    return Listed(_sorted(found), _sorted(doubtful), refused, frozenset(unclear), seen)


def _sorted(backends: Mapping[str, list[Endpoint]]) -> dict[str, list[Endpoint]]:
    return {name: in_order(some) for name, some in backends.items()}


class _Image:
    """The image of a container, resolved once and only if somebody wants to know."""

    def __init__(self, container: Container, resolve: Resolve | None) -> None:
        self._id = container.id
        self._shown = container.image
        self._resolve = resolve

    def reference(self) -> Reference | None:
        """The image's reference, or None where Docker shows an id and nobody says more."""
        try:
            return Reference.parse(self._shown)
        except ValueError:
            pass
        if self._resolve is None:
            return None
        self._shown, self._resolve = self._resolve(self._id) or "", None
        return self.reference()


def belongs(container: Container, service: Service, image: _Image, *, attributed: bool = False) -> bool:
    """Whether the container is one of the service's.

    Everything that the operator asks for has to be so: network, compose project, label filters, and the
    images that are allowed. Then it is the label ``dockmaster.service``, where it counts, that decides,
    and without one the image and the name.

    Raises:
        ValueError: it may be one, and Docker does not say which image it has.
    """
    wanted = service.discovery
    if not _filters_pass(container, wanted):
        return False
    label = container.labels.get(SERVICE_LABEL) if "service" in wanted.labels else None
    if label is not None and label != service.name:
        return False
    if label is None and not _selected_by_name(container, wanted):
        return False
    if attributed:
        return True
    selecting = wanted.image if label is None else None
    if selecting or wanted.allowed_images:
        shown = image.reference()
        if shown is None:
            if label is None and not wanted.allowed_images and not wanted.container_name:
                raise ImageUnknown(
                    "Docker shows its image by id, and it was not seen before: label it dockmaster.service"
                )
            raise ImageUnknown("Docker shows its image by id, so it cannot be told whether the image is allowed")
        if selecting and not selecting.covers(shown):
            return False
        return not wanted.allowed_images or any(one.covers(shown) for one in wanted.allowed_images)
    return True


def _selected_by_name(container: Container, wanted: Discovery) -> bool:
    """Without a label that says so, something has to select a container; and its name, where one is asked for."""
    if wanted.container_name:
        return fnmatchcase(container.name, wanted.container_name)
    return bool(wanted.image or wanted.network or wanted.compose_project or wanted.label_filters)


def _filters_pass(container: Container, wanted: Discovery) -> bool:
    if wanted.network and wanted.network not in container.networks:
        return False
    if wanted.compose_project and container.labels.get(COMPOSE_LABEL) != wanted.compose_project:
        return False
    return all((container.labels.get(one.label) == one.value) == one.equals for one in wanted.label_filters)


def _backend(container: Container, service: Service, docker_host: str, address: str) -> Endpoint:
    wanted = service.discovery
    own = overrides(container.labels, wanted.labels)
    port = own.port or wanted.container_port
    host, reached = _reached(container, wanted, port, address)
    return Endpoint(
        docker_host,
        container.id,
        host,
        wanted.backend_port_override or reached,
        container.name,
        container.image,
        weight=own.weight,
        backup=own.backup,
        maxconn=own.maxconn,
    )


def _reached(container: Container, wanted: Discovery, port: int, address: str) -> tuple[str, int]:
    """Where the container is reached; raises ValueError where it is not."""
    if wanted.container_network:
        addresses = container.networks.get(wanted.container_network, ())
        if not addresses:
            raise ValueError(f"it has no address on the network {wanted.container_network}")
        return addresses[0], port
    if container.host_network:
        return dialled(address), port
    found = published(container.ports, port, dialled(address))
    if found is None:
        raise ValueError(f"port {port}/tcp is not published on an address that {address} reaches")
    return found
