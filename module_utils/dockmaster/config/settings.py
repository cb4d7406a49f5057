"""The configuration: one file, in the nouns of Synapse's, read into types or refused in one sentence.

A configuration of Synapse's docker discovery is valid as it stands; what HAProxy has dropped since is
translated (see ``keywords``), and said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..model.endpoint import Endpoint, in_order, joined
from ..model.image import Reference

DEFAULT_API_PORT = 4243
DEFAULT_INTERVAL = 5
DEFAULT_SERVER_OPTIONS = "check inter 2s fall 2 rise 1"


@dataclass(frozen=True)
class Identity:
    """Who we are towards Docker hosts, and whose certificates we take.

    Attributes:
        ca_file: certificates of the CAs that a host's certificate may be signed by; no other counts.
        certificate_file: our own certificate.
        key_file: the key of it.
    """

    ca_file: Path
    certificate_file: Path
    key_file: Path


@dataclass(frozen=True)
class TLS:
    """A Docker host that is asked over TLS.

    Attributes:
        identity: who we are towards it.
        name: the DNS name or the IP address that its certificate has to have.
    """

    identity: Identity
    name: str


@dataclass(frozen=True)
class DockerHost:
    """A Docker host that is asked over its TCP API.

    Attributes:
        name: what it is called in server names, messages and reports.
        host: where its API is, and where its published ports are dialled.
        port: the API's port.
        tls: how it and we know each other; None where it is asked in plain text.
    """

    name: str
    host: str
    port: int
    tls: TLS | None = None

    @property
    def url(self) -> str:
        """The API's address, as Docker's clients take it."""
        return f"tcp://{joined(self.host, self.port)}"


@dataclass(frozen=True)
class LabelFilter:
    """A label that a container has to have with this value, or with equals False must not have so."""

    label: str
    value: str
    equals: bool


@dataclass(frozen=True)
class Discovery:
    """Which containers serve a service, and which Docker hosts know.

    A container serves that passes every filter that is set, and that its label or its image and name select.

    Attributes:
        servers: the Docker hosts to ask; none where only default servers serve.
        image: the image whose containers serve.
        container_name: a name, or a pattern with ``*`` and ``?``.
        network: a network that the container is on.
        compose_project: the compose project that it is of.
        label_filters: labels that it has, or has not.
        allowed_images: the only images that may serve at all, whatever a label says; empty for any.
        labels: which of the ``dockmaster.`` labels count.
        container_port: the TCP port inside the container.
        container_network: the network on which HAProxy dials the container itself; None dials the
            published port.
        backend_port_override: dialled instead of the port that was found.
        check_interval: seconds between two passes, where nobody says otherwise.
        stop_signals: numbers of the signals after which a container is about to stop; None for all but
            HUP, USR1, USR2 and WINCH.
    """

    servers: tuple[DockerHost, ...]
    container_port: int
    image: Reference | None = None
    container_name: str | None = None
    network: str | None = None
    compose_project: str | None = None
    label_filters: tuple[LabelFilter, ...] = ()
    allowed_images: tuple[Reference, ...] = ()
    labels: tuple[str, ...] = ("service",)
    container_network: str | None = None
    backend_port_override: int | None = None
    check_interval: int = DEFAULT_INTERVAL
    stop_signals: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Proxy:
    """How HAProxy serves a service.

    Attributes:
        bind: where the service is reached; None makes a backend without an address of its own.
        bind_options: what follows on the bind line.
        server_options: what follows on each server line; ``%{host}``, ``%{port}`` and ``%{name}`` are the
            server's.
        listen: lines for the frontend and the backend, in order.
        frontend: lines for the frontend alone.
        backend: lines for the backend alone.
        backend_name: name of the section with the servers.
        backend_order: ``asc``, ``desc`` or ``no_shuffle``; the first and the last are the same here.
        cookie: what a server's cookie is, ``name`` or ``hash``; None for none.
        shared_frontend: lines that the service adds to the shared frontend.
    """

    bind: str | None
    bind_options: str
    server_options: str
    listen: tuple[str, ...]
    frontend: tuple[str, ...]
    backend: tuple[str, ...]
    backend_name: str
    backend_order: str
    cookie: str | None
    shared_frontend: tuple[str, ...]

    @property
    def split(self) -> bool:
        """Whether frontend and backend are sections of their own, and not one ``listen`` section."""
        return bool(self.frontend or self.backend or self.shared_frontend)


@dataclass(frozen=True)
class Service:
    """A service: its name, how it is discovered and how it is balanced.

    Attributes:
        default_servers: serve while none is found.
        keep_default_servers: they serve beside those that are found, too.
        use_previous_backends: when none is found any more, the ones before stay.
    """

    name: str
    discovery: Discovery
    proxy: Proxy
    default_servers: tuple[Endpoint, ...] = ()
    keep_default_servers: bool = False
    use_previous_backends: bool = False

    def completed(self, found: Sequence[Endpoint], before: Sequence[Endpoint]) -> list[Endpoint]:
        """The backends to use: those found, and what the configuration says for when there are none."""
        if not found and self.use_previous_backends:
            found = [one for one in before if not one.given_name]
        more = self.default_servers if self.keep_default_servers or not found else ()
        return in_order(found, more)

    @property
    def named_with_host(self) -> bool:
        """Whether a server's name says its Docker host: where there are several."""
        return len(self.discovery.servers) != 1


@dataclass(frozen=True)
class HAProxySettings:
    """HAProxy as a whole: where its files are, and what the template takes.

    Attributes:
        config_file_path: the file that is written.
        do_writes: whether it is written at all.
        do_reloads: whether HAProxy is told.
        do_checks: whether ``haproxy -c`` has to accept it first.
        check_command: instead of ``haproxy -c``; the candidate's path is appended.
        reload_command: instead of a signal to the master process.
        pid_file: holds the master's process id.
        socket_file_path: the runtime socket, or None.
        state_file: what was last known of each Docker host.
        run_directory: what passes and the watcher tell each other until the machine is restarted.
        drain_timeout: seconds that a server that is not wanted any more may finish its requests in.
        dead_servers: servers in maintenance that may gather where HAProxy cannot delete them.
        output_directory: a JSON file of each service's backends goes there; None for nowhere.
        template: everything else, as plain data for the template.
    """

    config_file_path: Path
    do_writes: bool
    do_reloads: bool
    do_checks: bool
    check_command: str | None
    reload_command: str | None
    pid_file: Path
    socket_file_path: str | None
    state_file: Path
    run_directory: Path
    drain_timeout: int
    dead_servers: int
    output_directory: Path | None
    template: Mapping[str, Any]


@dataclass(frozen=True)
class Watch:
    """How the watcher follows Docker's events.

    Attributes:
        stop_grace: seconds after a signal that stops, after which a container that still runs gets traffic again.
        resync_interval: seconds after which everything is asked anew, events or not.
        first_check_interval: milliseconds between the checks of a server that has not been up yet.
        metrics_directory: where files for Prometheus' node exporter go; None for nowhere.
    """

    stop_grace: int
    resync_interval: int
    first_check_interval: int
    metrics_directory: Path | None


@dataclass(frozen=True)
class Settings:
    """The whole configuration.

    Attributes:
        origin: the file, or what stands in its place in messages.
        services: in the order of the configuration.
        haproxy: HAProxy as a whole.
        watch: how the watcher works.
        service_conf_dir: a folder with more services, a file each; None for none.
        notes: what was translated, for the operator.
    """

    origin: str
    services: tuple[Service, ...]
    haproxy: HAProxySettings
    watch: Watch
    service_conf_dir: Path | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def docker_hosts(self) -> dict[str, DockerHost]:
        """Every Docker host that is asked for some service, by name."""
        return {server.name: server for service in self.services for server in service.discovery.servers}
