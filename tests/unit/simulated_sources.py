"""What each kind of source asks, simulated: a new kind is one more row of ``ROWS``, and a simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from docker_api import SimulatedDocker, simulated_docker
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings

REFUSED, HUNG, TRICKLES, GARBAGE = "refuses connections", "hangs", "trickles", "answers garbage"
CUT, OTHER, FAILS = "is cut off", "answers something else", "answers with an error"


class Simulated(Protocol):
    """What a source asks, simulated: it knows endpoints of the service web by their ports."""

    @property
    def settings(self) -> Settings:
        """A configuration that has the source, as things stand."""

    def has(self, ports: Sequence[int]) -> None:
        """The endpoints have these ports from now on; who follows is told."""

    def fails(self, how: str) -> None:
        """It fails from now on."""

    def recovers(self) -> None:
        """It answers again; nobody is told."""


Simulate = Callable[[Callable[[], int]], AbstractContextManager[Simulated]]
"""Simulates it for as long as a block lasts; given what gives ports that are free."""


class DockerHost:
    """A simulated Docker host; it can be switched off."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._on: AbstractContextManager[SimulatedDocker] | None = None
        self._api = SimulatedDocker()
        self._containers: list[dict[str, Any]] = []
        self._on_again()

    @property
    def settings(self) -> Settings:
        servers = [{"name": "app1", "host": "127.0.0.1", "port": self._port}]
        discovery = {"image_name": "local/web", "container_port": 8000, "servers": servers}
        return parse({"services": {"web": {"discovery": discovery}}}, "test")

    def has(self, ports: Sequence[int]) -> None:
        before = {one["Id"] for one in self._containers}
        self._containers = [self._container(port) for port in ports]
        self._api.containers = self._containers
        after = {one["Id"] for one in self._containers}
        for gone in sorted(before - after):
            self._api.event(gone, "die")
        for started in sorted(after - before):
            self._api.event(started, "start")

    def fails(self, how: str) -> None:
        if how == REFUSED:
            self.off()
            return
        faults = {HUNG: "hung", TRICKLES: "slow", GARBAGE: "not-json", CUT: "truncated"}
        if how in faults:
            self._api.fault = faults[how]
        elif how == OTHER:
            self._api.containers = {"message": "no list"}
        else:
            self._api.status = 500
        # Who follows comes again, and is met with the fault.
        self._api.say(b"")

    def recovers(self) -> None:
        if self._on is None:
            self._on_again()
        self._api.fault, self._api.status, self._api.containers = None, 200, self._containers

    def _on_again(self) -> None:
        self._on = simulated_docker(self._port)
        self._api = self._on.__enter__()

    def off(self) -> None:
        """Nobody listens there any more."""
        if self._on:
            self._on.__exit__(None, None, None)
            self._on = None

    @staticmethod
    def _container(port: int) -> dict[str, Any]:
        return {
            "Id": f"{port:012x}" * 5,
            "Names": [f"/web-{port}"],
            "Image": "local/web",
            "State": "running",
            "Status": "Up 1 second",
            "Labels": {},
            "Ports": [{"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": port, "Type": "tcp"}],
        }


@contextmanager
def docker_host(free_port: Callable[[], int]) -> Iterator[Simulated]:
    host = DockerHost(free_port())
    try:
        yield host
    finally:
        host.off()


class DefaultServers:
    """The default servers of a configuration. It does not fail, and it does not change: another one is read anew."""

    def __init__(self) -> None:
        self._servers: list[dict[str, Any]] = []

    @property
    def settings(self) -> Settings:
        web = {"discovery": {"method": "base"}, "default_servers": self._servers, "haproxy": {"port": 80}}
        return parse({"services": {"web": web}}, "test")

    def has(self, ports: Sequence[int]) -> None:
        self._servers = [{"name": f"spare-{port}", "host": "127.0.0.1", "port": port} for port in ports]

    def fails(self, how: str) -> None:
        raise AssertionError(f"no row says that it {how}")

    def recovers(self) -> None:
        raise AssertionError("it does not fail")


@contextmanager
def default_servers(free_port: Callable[[], int]) -> Iterator[Simulated]:  # noqa: ARG001
    yield DefaultServers()


@dataclass(frozen=True)
class Row:
    """One kind of source.

    Attributes:
        simulate: what it asks.
        source: the name of the source that this has.
        faults: how it may fail; none if it cannot.
        changes: whether what it says can change while it is followed.
    """

    simulate: Simulate
    source: str
    faults: tuple[str, ...]
    changes: bool


ROWS = {
    "docker": Row(docker_host, "app1", (REFUSED, HUNG, TRICKLES, GARBAGE, CUT, OTHER, FAILS), changes=True),
    "static": Row(default_servers, "static", (), changes=False),
}
