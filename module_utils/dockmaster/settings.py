"""The configuration: one file, in the nouns of Synapse's, read into types or refused in one sentence.

A configuration of Synapse's docker discovery is valid as it stands; what HAProxy has dropped since is
translated (see ``keywords``), and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import SettingsError
from .images import Reference
from .keywords import modern
from .model import joined, valid_host, valid_name
from .section import Section

DEFAULT_API_PORT = 4243
DEFAULT_SERVER_OPTIONS = "check inter 2s fall 2 rise 1"


@dataclass(frozen=True)
class DockerServer:
    """A Docker host that is asked over its TCP API.

    Attributes:
        name: what it is called in server names, messages and reports.
        host: where its API is, and where its published ports are dialled.
        port: the API's port.
    """

    name: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The API's address, as Docker's clients take it."""
        return f"tcp://{joined(self.host, self.port)}"


@dataclass(frozen=True)
class Discovery:
    """Which containers serve a service, and which Docker hosts know.

    Attributes:
        servers: the Docker hosts to ask.
        image: the image whose containers serve; None means by label only.
        container_port: the TCP port inside the container.
    """

    servers: tuple[DockerServer, ...]
    image: Reference | None
    container_port: int


@dataclass(frozen=True)
class Proxy:
    """How HAProxy serves a service.

    Attributes:
        port: where the service is reached; None makes a backend without an address of its own.
        bind_address: an address, ``*``, or a host name.
        bind_options: what follows on the bind line.
        server_options: what follows on each server line.
        listen: lines of the section, in order.
    """

    port: int | None
    bind_address: str
    bind_options: str
    server_options: str
    listen: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A service: its name, how it is discovered and how it is balanced."""

    name: str
    discovery: Discovery
    proxy: Proxy

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
    template: Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """The whole configuration.

    Attributes:
        origin: the file, or what stands in its place in messages.
        services: in the order of the configuration.
        haproxy: HAProxy as a whole.
        notes: what was translated, for the operator.
    """

    origin: str
    services: tuple[Service, ...]
    haproxy: HAProxySettings
    notes: tuple[str, ...] = field(default=())


def parse(data: object, origin: str) -> Settings:
    """Read a configuration from plain data; raises SettingsError. origin stands for the file in messages."""
    notes: list[str] = []
    top = Section(data, origin, "")
    shared = top.section("discovery")
    shared_servers = _servers(shared)
    shared.done()
    haproxy_section = top.section("haproxy")
    haproxy = _haproxy(haproxy_section, notes)
    services = tuple(
        _service(section, name, shared_servers, haproxy.template, notes)
        for name, section in top.section("services").sections()
    )
    top.done()
    _refuse_shared_addresses(services, origin)
    return Settings(origin, services, haproxy, tuple(notes))


def _service(
    section: Section,
    name: str,
    shared_servers: tuple[DockerServer, ...],
    template: Mapping[str, Any],
    notes: list[str],
) -> Service:
    try:
        valid_name(name)
    except ValueError as error:
        raise section.wrong("", name, str(error)) from None
    discovery = section.section("discovery")
    method = discovery.text("method", default="docker")
    if method != "docker":
        raise discovery.wrong("method", method, "expected docker")
    found = Discovery(
        servers=_servers(discovery) or shared_servers,
        image=discovery.checked("image_name", Reference.parse, default=None),
        container_port=discovery.port("container_port"),
    )
    discovery.done()
    haproxy = section.section("haproxy")
    proxy = Proxy(
        port=haproxy.port("port", default=None),
        bind_address=haproxy.word("bind_address", default=template["bind_address"]),
        bind_options=haproxy.text("bind_options", default=""),
        server_options=haproxy.text("server_options", default=template["server_options"]),
        listen=_lines(haproxy, "listen", notes),
    )
    haproxy.done()
    section.done()
    return Service(name, found, proxy)


def _servers(discovery: Section) -> tuple[DockerServer, ...]:
    servers: list[DockerServer] = []
    for entry in discovery.entries("servers"):
        host = entry.checked("host", valid_host)
        server = DockerServer(
            name=entry.checked("name", valid_name, default=host),
            host=host,
            port=entry.port("port", default=DEFAULT_API_PORT),
        )
        entry.done()
        if any(other.name == server.name for other in servers):
            raise entry.wrong("name", server.name, "expected a name that no other server of the list has")
        servers.append(server)
    return tuple(servers)


def _haproxy(section: Section, notes: list[str]) -> HAProxySettings:
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
        template=template,
    )
    section.done()
    return settings


def _lines(section: Section, key: str, notes: list[str]) -> tuple[str, ...]:
    """Lines of HAProxy's language, with what it has dropped in today's words."""
    lines = []
    for number, line in enumerate(section.lines(key)):
        today = modern(line)
        if today != line:
            notes.append(f"{section.place(key)}[{number}]: {line!r} is obsolete, written as {today!r}")
        lines.append(today)
    return tuple(lines)


def _refuse_shared_addresses(services: tuple[Service, ...], origin: str) -> None:
    taken: dict[tuple[str, int], str] = {}
    for service in services:
        if service.proxy.port is None:
            continue
        address = (service.proxy.bind_address, service.proxy.port)
        if address in taken:
            raise SettingsError(
                f"{origin}: services.{service.name}.haproxy.port: {address[0]}:{address[1]} is also the address of "
                f"services.{taken[address]}; expected an address of its own for each service"
            )
        taken[address] = service.name
