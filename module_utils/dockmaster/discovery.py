"""Which containers of a Docker host serve which service: pure, and the same for every door."""

from __future__ import annotations

from collections.abc import Iterable

from .addresses import dialled, published
from .containers import Container
from .images import Reference
from .model import SHORT_ID, Backend, Refusal
from .settings import Service

SERVICE_LABEL = "dockmaster.service"
"""The label that names the service of a container; it beats the image's name."""


def backends_of(
    services: Iterable[Service], docker_host: str, address: str, listed: Iterable[object]
) -> tuple[dict[str, list[Backend]], list[Refusal]]:
    """The backends of each service on one Docker host.

    Args:
        services: those that this Docker host is asked for.
        docker_host: the host's name.
        address: what HAProxy dials to reach the host's published ports.
        listed: the entries of ``GET /containers/json``.

    Returns:
        Backends by the service's name (an empty list is a fact), and what was refused and why.
    """
    services = list(services)
    found: dict[str, list[Backend]] = {service.name: [] for service in services}
    refused: list[Refusal] = []
    for number, raw in enumerate(listed):
        try:
            container = Container.parse(raw)
        except ValueError as error:
            refused.append(Refusal("", docker_host, f"entry {number} of the list", str(error)))
            continue
        for service in services:
            if not container.ready or not belongs(container, service):
                continue
            try:
                found[service.name].append(_backend(container, service, docker_host, address))
            except ValueError as error:
                refused.append(Refusal(service.name, docker_host, container.id[:SHORT_ID], str(error)))
    return {name: sorted(set(backends)) for name, backends in found.items()}, refused


def belongs(container: Container, service: Service) -> bool:
    """Whether the container is one of the service: by its label, or else by its image."""
    label = container.labels.get(SERVICE_LABEL)
    if label is not None:
        return label == service.name
    try:
        shown = Reference.parse(container.image)
    except ValueError:
        return False
    return service.discovery.image is not None and service.discovery.image.covers(shown)


def _backend(container: Container, service: Service, docker_host: str, address: str) -> Backend:
    port = service.discovery.container_port
    found = published(container.ports, port, dialled(address))
    if found is None:
        raise ValueError(f"port {port}/tcp is not published on an address that {address} reaches")
    return Backend(docker_host, container.id, *found, container.name, container.image)
