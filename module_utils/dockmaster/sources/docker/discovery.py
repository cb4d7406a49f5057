"""Which containers of a Docker host serve which service: pure, and the same for every door."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase

from ...config.settings import Discovery, Service
from ...model.container import Container
from ...model.endpoint import SHORT_ID, Endpoint, Rejection, in_order
from ...model.image import Reference
from ...model.labels import SERVICE_LABEL, overrides
from ...model.ports import dialled, published
from ..protocol import Answer, Known

COMPOSE_LABEL = "com.docker.compose.project"

Resolve = Callable[[str], str | None]
"""The image that a container was made from, by its id, or None where the Docker host does not say; a ValueError
where it takes too long."""


class ImageUnknown(ValueError):
    """Docker shows a container's image by id, and nobody says which it is."""


def endpoints_of(
    services: Iterable[Service],
    docker_host: str,
    address: str,
    listed: Iterable[object],
    *,
    known: Known | None = None,
    resolve: Resolve | None = None,
    names: Collection[str] | None = None,
) -> Answer:
    """The endpoints of each service on one Docker host.

    Args:
        services: those that this Docker host is asked for.
        docker_host: the host's name.
        address: what HAProxy dials to reach the host's published ports.
        listed: the entries of ``GET /containers/json``.
        known: what was attributed before; it counts only where Docker shows an image by id.
        resolve: asks for the image of a container that Docker shows by id.
        names: of all services of the configuration; without it, those of ``services``.
    """
    services = list(services)
    known = known or {}
    names = {service.name for service in services} if names is None else names
    labelled = any("service" in service.discovery.labels for service in services)
    healthy: dict[str, list[Endpoint]] = {service.name: [] for service in services}
    unhealthy: dict[str, list[Endpoint]] = {service.name: [] for service in services}
    rejected: list[Rejection] = []
    unclear: set[str] = set()
    running: set[str] = set()
    seen: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    for number, raw in enumerate(listed):
        try:
            container = Container.parse(raw)
            if container.id in seen:
                raise ValueError(f"the id {container.id[:SHORT_ID]} is in the list twice")
        except ValueError as error:
            rejected.append(Rejection("", docker_host, f"entry {number} of the list", str(error)))
            continue
        seen[container.id] = container.name
        if not container.healthy and not container.unhealthy:
            continue
        running.add(container.id)
        if labelled and (mistake := _names_no_service(container, names)):
            rejected.append(Rejection("", docker_host, container.id[:SHORT_ID], mistake))
        image = _Image(container, resolve)
        for service in services:
            try:
                attributed = container.id in known.get(service.name, ())
                if belongs(container, service, image, attributed=attributed):
                    endpoint = _endpoint(container, service, docker_host, address)
                    server = (service.name, endpoint.server_name(with_host=False))
                    if server in taken:
                        # HAProxy refuses a file with two servers of one name: one would hold up all.
                        raise ValueError(f"another container already has the server's name {server[1]}")
                    taken.add(server)
                    (healthy if container.healthy else unhealthy)[service.name].append(endpoint)
            except ValueError as error:
                if isinstance(error, ImageUnknown):
                    unclear.add(container.id)
                rejected.append(Rejection(service.name, docker_host, container.id[:SHORT_ID], str(error)))
    return Answer(_sorted(healthy), _sorted(unhealthy), rejected, frozenset(unclear), frozenset(running), seen)


def _sorted(endpoints: Mapping[str, list[Endpoint]]) -> dict[str, list[Endpoint]]:
    return {name: in_order(some) for name, some in endpoints.items()}


def _names_no_service(container: Container, names: Collection[str]) -> str:
    """What is wrong with a container's label ``dockmaster.service``, or the empty string."""
    label = container.labels.get(SERVICE_LABEL)
    if label is None or label in names:
        return ""
    shown = ascii(label[:80])
    near = get_close_matches(label.strip().lower(), sorted(names), n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"
    return f"label {SERVICE_LABEL}: {shown}: names no service; {hint}"


class _Image:
    """The image of a container, resolved once and only if somebody wants to know."""

    def __init__(self, container: Container, resolve: Resolve | None) -> None:
        self._id = container.id
        self._shown = container.image
        self._resolve = resolve

    @property
    def shown(self) -> Reference | None:
        """The image's reference, or None where Docker shows an id."""
        try:
            return Reference.parse(self._shown)
        except ValueError:
            return None

    def reference(self) -> Reference | None:
        """The same; where Docker shows an id, its host is asked. None where that says nothing either."""
        if self.shown is None and self._resolve is not None:
            self._shown, self._resolve = self._resolve(self._id) or "", None
        return self.shown


def belongs(container: Container, service: Service, image: _Image, *, attributed: bool = False) -> bool:
    """Whether the container is one of the service's.

    Everything that the operator asks for has to be so: network, compose project, label filters, and the
    images that are allowed. Then it is the label ``dockmaster.service``, where it counts, that decides,
    and without one the image and the name.

    Raises:
        ImageUnknown: it may be one, and Docker does not say which image it has.
    """
    wanted = service.discovery
    if not _filters_pass(container, wanted):
        return False
    label = container.labels.get(SERVICE_LABEL) if "service" in wanted.labels else None
    if label is not None and label != service.name:
        return False
    if label is None and not _selected_by_name(container, wanted):
        return False
    if attributed and image.shown is None:
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


def _endpoint(container: Container, service: Service, docker_host: str, address: str) -> Endpoint:
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
        unhealthy=container.unhealthy,
        paused=container.state == "paused",
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
