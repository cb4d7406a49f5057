"""The configuration from plain data into types, or refused in one sentence."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..model.endpoint import Endpoint, joined, valid_host, valid_name, valid_port
from ..model.image import Reference
from ..model.labels import KINDS
from . import synapse as instead
from .keywords import modern
from .section import Section
from .settings import (
    DEFAULT_API_PORT,
    DEFAULT_INTERVAL,
    DEFAULT_SERVER_OPTIONS,
    TLS,
    Discovery,
    DockerHost,
    HAProxySettings,
    Identity,
    LabelFilter,
    Proxy,
    Service,
    Settings,
    Watch,
)


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
    shared_servers: tuple[DockerHost, ...],
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
    discovery: Section, shared_servers: tuple[DockerHost, ...], identity: Identity | None, service: Section
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


def _default_servers(section: Section) -> tuple[Endpoint, ...]:
    servers: list[Endpoint] = []
    for entry in section.entries("default_servers"):
        host, port = entry.checked("host", valid_host), entry.checked("port", valid_port)
        name = entry.checked("name", valid_name, default=f"{host}_{port}")
        if any(other.given_name == name for other in servers):
            raise entry.wrong("name", name, "expected a name that no other server of the list has")
        servers.append(Endpoint("", "", host, port, given_name=name))
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


def _servers(discovery: Section, identity: Identity | None) -> tuple[DockerHost, ...]:
    servers: list[DockerHost] = []
    for entry in discovery.entries("servers"):
        host = entry.checked("host", valid_host)
        name = entry.checked("name", valid_name, default=host)
        server = DockerHost(name, host, entry.port("port", default=DEFAULT_API_PORT), _tls(entry, name, identity))
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
        state_file=section.path("state_file", default="/var/lib/dockmaster/last_known.json"),
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
    servers: dict[str, tuple[DockerHost, str]] = {}
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


def _way(server: DockerHost) -> str:
    """How a Docker host is asked."""
    if server.tls is None:
        return server.url
    return f"{server.url} by TLS as {server.tls.name} with {server.tls.identity.certificate_file}"
