"""The configuration: one file, in the nouns of Synapse's, read into types or refused in one sentence.

A configuration of Synapse's docker discovery is valid as it stands; what HAProxy has dropped since is
translated (see ``keywords``), and said.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import instead
from .errors import SettingsError
from .images import Reference
from .keywords import modern
from .labels import KINDS
from .model import Backend, in_order, joined, valid_host, valid_name, valid_port
from .section import Section

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
class DockerServer:
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

    servers: tuple[DockerServer, ...]
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
    default_servers: tuple[Backend, ...] = ()
    keep_default_servers: bool = False
    use_previous_backends: bool = False

    def completed(self, found: Sequence[Backend], before: Sequence[Backend]) -> list[Backend]:
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
    def docker_servers(self) -> dict[str, DockerServer]:
        """Every Docker host that is asked for some service, by name."""
        return {server.name: server for service in self.services for server in service.discovery.servers}


def parse(data: object, origin: str, more_services: Mapping[str, tuple[str, object]] | None = None) -> Settings:
    """Read a configuration from plain data; raises SettingsError.

    Args:
        data: the whole.
        origin: the file, or what stands for it in messages.
        more_services: services from files of their own: by name, the file and what it holds.
    """
    notes: list[str] = []
    top = Section(data, origin, "")
    shared = top.section("discovery")
    identity = _identity(shared)
    shared_servers = _servers(shared, identity)
    shared.done(instead.DISCOVERY)
    haproxy_section = top.section("haproxy")
    output = top.section("file_output")
    output_directory = output.path("output_directory", default=None)
    output.done()
    haproxy = _haproxy(haproxy_section, output_directory, notes)
    watch = _watch(top.section("watch"))
    folder = top.path("service_conf_dir", default=None)
    sections = list(top.section("services").sections())
    top.done(instead.TOP)
    for name, (where, content) in (more_services or {}).items():
        if name in dict(sections):
            raise SettingsError(f"{where}: the service {name} is also in {origin}; expected it in one of them")
        sections.append((name, Section(content, where, "")))
    services = []
    for name, section in sections:
        service = _service(section, name, shared_servers, identity, haproxy.template, notes)
        if service:
            services.append(service)
    _refuse_shared(services, origin)
    return Settings(origin, tuple(services), haproxy, watch, folder, tuple(notes))


def _service(
    section: Section,
    name: str,
    shared_servers: tuple[DockerServer, ...],
    identity: Identity | None,
    template: Mapping[str, Any],
    notes: list[str],
) -> Service | None:
    """One service, or None where it is disabled."""
    try:
        valid_name(name)
    except ValueError as error:
        raise section.wrong("", name, str(error)) from None
    default_servers = _default_servers(section)
    found = _discovery(section.section("discovery"), shared_servers, identity, section)
    haproxy = section.section("haproxy")
    disabled = haproxy.flag("disabled", default=False)
    proxy = _proxy(haproxy, name, template, notes)
    service = Service(
        name,
        found,
        proxy,
        default_servers,
        keep_default_servers=section.flag("keep_default_servers", default=False),
        use_previous_backends=section.flag("use_previous_backends", default=False),
    )
    section.done(instead.SERVICE)
    return None if disabled else service


def _discovery(
    discovery: Section, shared_servers: tuple[DockerServer, ...], identity: Identity | None, service: Section
) -> Discovery:
    method = discovery.one_of("method", ("docker", "base"), default="docker")
    override = service.port("backend_port_override", default=None)
    if method == "base":
        discovery.done(instead.DISCOVERY)
        return Discovery((), container_port=0, backend_port_override=override)
    found = Discovery(
        servers=_servers(discovery, _identity(discovery) or identity) or shared_servers,
        container_port=discovery.port("container_port"),
        image=discovery.checked("image_name", Reference.parse, default=None),
        container_name=discovery.word("container_name", default=None),
        network=discovery.text("network", default=None),
        compose_project=discovery.text("compose_project", default=None),
        label_filters=_label_filters(discovery),
        allowed_images=tuple(discovery.each("allowed_images", Reference.parse)),
        labels=tuple(discovery.each("labels", _label_kind)) if discovery.has("labels") else ("service",),
        container_network=discovery.text("container_network", default=None),
        backend_port_override=override,
        check_interval=discovery.whole("check_interval", default=DEFAULT_INTERVAL, minimum=1),
        stop_signals=tuple(discovery.each("stop_signals", _signal)) if discovery.has("stop_signals") else None,
    )
    discovery.done(instead.DISCOVERY)
    return found


def _label_kind(value: object) -> str:
    if value not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}")
    return str(value)


def _signal(value: object) -> int:
    """The number of a signal that is given by its number or its name, with or without SIG."""
    if isinstance(value, str):
        value = getattr(signal.Signals, f"SIG{value.upper().removeprefix('SIG')}", None)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 64:
        raise ValueError("expected a signal such as TERM or 15")
    return int(value)


def _label_filters(discovery: Section) -> tuple[LabelFilter, ...]:
    filters = []
    for entry in discovery.entries("label_filters"):
        condition = entry.one_of("condition", ("equals", "not-equals"), default="equals")
        filters.append(LabelFilter(entry.text("label"), entry.text("value"), condition == "equals"))
        entry.done()
    return tuple(filters)


def _default_servers(section: Section) -> tuple[Backend, ...]:
    servers: list[Backend] = []
    for entry in section.entries("default_servers"):
        host, port = entry.checked("host", valid_host), entry.checked("port", valid_port)
        name = entry.checked("name", valid_name, default=f"{host}_{port}")
        if any(other.given_name == name for other in servers):
            raise entry.wrong("name", name, "expected a name that no other server of the list has")
        servers.append(Backend("", "", host, port, given_name=name))
        entry.done()
    return tuple(servers)


def _proxy(haproxy: Section, name: str, template: Mapping[str, Any], notes: list[str]) -> Proxy:
    port = haproxy.port("port", default=None)
    address = haproxy.word("bind_address", default=template["bind_address"])
    bind = None
    if port is not None:
        bind = joined(address, port)
    elif haproxy.has("port"):
        bind = address
    proxy = Proxy(
        bind=bind,
        bind_options=haproxy.text("bind_options", default=""),
        server_options=haproxy.options("server_options", default=template["server_options"]),
        listen=_lines(haproxy, "listen", notes),
        frontend=_lines(haproxy, "frontend", notes),
        backend=_lines(haproxy, "backend", notes),
        backend_name=haproxy.checked("backend_name", valid_name, default=name),
        backend_order=haproxy.one_of("backend_order", ("asc", "desc", "no_shuffle"), default="asc"),
        cookie=haproxy.one_of("cookie_value_method", ("name", "hash"), default=None),
        shared_frontend=_lines(haproxy, "shared_frontend", notes),
    )
    haproxy.done(instead.SERVICE_HAPROXY)
    return proxy


def _identity(discovery: Section) -> Identity | None:
    if not discovery.has("tls"):
        return None
    tls = discovery.section("tls")
    identity = Identity(tls.path("ca_file"), tls.path("certificate_file"), tls.path("key_file"))
    tls.done()
    return identity


def _servers(discovery: Section, identity: Identity | None) -> tuple[DockerServer, ...]:
    servers: list[DockerServer] = []
    for entry in discovery.entries("servers"):
        host = entry.checked("host", valid_host)
        name = entry.checked("name", valid_name, default=host)
        server = DockerServer(name, host, entry.port("port", default=DEFAULT_API_PORT), _tls(entry, name, identity))
        entry.done()
        if any(other.name == server.name for other in servers):
            raise entry.wrong("name", server.name, "expected a name that no other server of the list has")
        servers.append(server)
    return tuple(servers)


def _tls(entry: Section, server: str, identity: Identity | None) -> TLS | None:
    """How one Docker host and we know each other, or None where it is asked in plain text."""
    wanted, name = entry.flag("tls", default=False), entry.checked("tls_name", valid_host, default=None)
    if not wanted:
        if name and not entry.has("tls"):
            raise entry.wrong("tls_name", name, "expected tls: true beside it, for without that it means nothing")
        return None
    if identity is None:
        raise entry.wrong(
            "tls", True, "expected discovery.tls to say who we are, by ca_file, certificate_file and key_file"
        )
    try:
        return TLS(identity, name or valid_host(server))
    except ValueError:
        raise entry.wrong("name", server, "expected tls_name as well, for no certificate has this as a name") from None


def _haproxy(section: Section, output_directory: Path | None, notes: list[str]) -> HAProxySettings:
    timeouts = section.section("timeouts")
    log = section.lines("log")
    template = {
        "global": list(_lines(section, "global", notes)),
        "defaults": list(_lines(section, "defaults", notes)),
        "bind_address": section.word("bind_address", default="localhost"),
        "server_options": section.text("server_options", default=DEFAULT_SERVER_OPTIONS),
        "user": section.word("user", default=None),
        "group": section.word("group", default=None),
        "chroot": section.word("chroot", default=None),
        "socket": section.word("socket_file_path", default=None),
        "socket_options": section.text("socket_options", default="mode 660 level admin expose-fd listeners"),
        "stats_bind": section.word("stats_bind", default=None),
        "maxconn": section.whole("maxconn", default=None, minimum=1),
        "fd_limit": section.whole("fd_limit", default=None, minimum=100),
        "hard_stop_after": section.duration("hard_stop_after", default=None),
        "client_tcp_timeout": section.duration("client_tcp_timeout", default=None),
        "timeouts": {name: timeouts.duration(name) for name in timeouts.names()},
        "retries": section.whole("retries", default=None, minimum=0),
        "redispatch": section.whole("redispatch", default=None, minimum=-100),
        "retry_on": section.words("retry_on"),
        "retry_methods": section.words("retry_methods"),
        "forwarded_for": section.flag("forwarded_for", default=False),
        "request_id_header": section.word("request_id_header", default=None),
        "log": log,
        "log_ring": any(target.startswith("ring@recent ") for target in log),
        "log_format": section.text("log_format", default=None),
    }
    timeouts.done()
    extra = section.section("extra_sections")
    template["shared_frontend"] = list(_lines(section, "shared_frontend", notes))
    template["extra_sections"] = [
        {"head": name, "lines": list(_lines(extra, name, notes))} for name in map(extra.head, extra.names())
    ]
    settings = HAProxySettings(
        config_file_path=section.path("config_file_path", default="/etc/haproxy/haproxy.cfg"),
        do_writes=section.flag("do_writes", default=True),
        do_reloads=section.flag("do_reloads", default=True),
        do_checks=section.flag("do_checks", default=True),
        check_command=section.text("check_command", default=None),
        reload_command=section.text("reload_command", default=None),
        pid_file=section.path("pid_file", default="/run/haproxy.pid"),
        socket_file_path=template["socket"],
        state_file=section.path("state_file", default="/var/lib/dockmaster/backends.json"),
        run_directory=section.path("run_directory", default="/run/dockmaster"),
        drain_timeout=section.whole("drain_timeout", default=60, minimum=0),
        dead_servers=section.whole("dead_servers", default=1000, minimum=0),
        output_directory=output_directory,
        template=template,
    )
    section.done(instead.HAPROXY)
    return settings


def _watch(section: Section) -> Watch:
    watch = Watch(
        stop_grace=section.whole("stop_grace", default=60, minimum=1),
        resync_interval=section.whole("resync_interval", default=60, minimum=1),
        first_check_interval=section.whole("first_check_interval", default=2, minimum=1),
        metrics_directory=section.path("metrics_directory", default=None),
    )
    section.done()
    return watch


def _lines(section: Section, key: str, notes: list[str]) -> tuple[str, ...]:
    """Lines of HAProxy's language, with what it has dropped in today's words."""
    lines = []
    for number, line in enumerate(section.lines(key)):
        today = modern(line)
        if today != line:
            notes.append(f"{section.place(key)}[{number}]: {line!r} is obsolete, written as {today!r}")
        lines.append(today)
    return tuple(lines)


def _refuse_shared(services: Sequence[Service], origin: str) -> None:
    """Refuse an address or a name that two services want for themselves, and name both."""
    binds: dict[str, str] = {}
    sections: dict[str, str] = {}
    servers: dict[str, tuple[DockerServer, str]] = {}
    for service in services:
        for server in service.discovery.servers:
            other, whose = servers.setdefault(server.name, (server, service.name))
            if other != server:
                raise SettingsError(
                    f"{origin}: services.{service.name}.discovery.servers: {server.name} is {_way(server)}, and "
                    f"{_way(other)} in services.{whose}; expected one way to ask a host"
                )
        wanted = [(binds, service.proxy.bind, "the address"), (sections, service.proxy.backend_name, "the section")]
        if service.proxy.split and service.proxy.bind and service.proxy.backend_name != service.name:
            wanted.append((sections, service.name, "the section"))
        for taken, value, what in wanted:
            if value is None:
                continue
            if value in taken:
                raise SettingsError(
                    f"{origin}: services.{service.name}.haproxy: {value} is also {what} of services.{taken[value]}; "
                    f"expected {what} to be of one service"
                )
            taken[value] = service.name


def _way(server: DockerServer) -> str:
    """How a Docker host is asked."""
    if server.tls is None:
        return server.url
    return f"{server.url} by TLS as {server.tls.name} with {server.tls.identity.certificate_file}"
