"""Where a container is reached: which published port, on which address."""

from __future__ import annotations

from .container import PublishedPort
from .endpoint import ip_address


def dialled(host: str) -> str:
    """The address for a host's name: localhost is 127.0.0.1, for its IPv6 ports may be others."""
    return "127.0.0.1" if host == "localhost" else host


def published(ports: tuple[PublishedPort, ...], container_port: int, address: str) -> tuple[str, int] | None:
    """Host and port under which address reaches container_port, or None.

    An IPv4 and an IPv6 port of one container may differ, and one that is bound to the loopback of
    another machine is of no use, so what is published is held against the address that is dialled.
    """
    choices = sorted(
        (rank, port.public, host)
        for port in ports
        if port.private == container_port
        for rank, host in [_reach(port.ip, address)]
        if host
    )
    return (choices[0][2], choices[0][1]) if choices else None


def _reach(bound: str, address: str) -> tuple[int, str]:
    """How well a port bound to one address is reached by dialling another: rank, and what to dial."""
    wanted = ip_address(address)
    if bound == "" or bound == address:
        return 0, address
    ip = ip_address(bound)
    if ip is None:
        return 9, ""
    if ip.is_unspecified:
        same_family = ip.version == (wanted.version if wanted else 4)
        return (1, address) if same_family else (9, "")
    if ip.is_loopback:
        reached = wanted is not None and wanted.is_loopback and wanted.version == ip.version
        return (2, bound) if reached else (9, "")
    return 3, bound
