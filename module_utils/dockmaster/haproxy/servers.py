"""The servers of each service as HAProxy knows them: the line in the file, and the same at run time."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..config.settings import Service, Settings
from ..model.endpoint import Endpoint, joined

Key = tuple[str, str]
"""Section and name of a server."""

_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+=()\[\]| -]*\Z")
"""What means the same to the configuration's parser and to the runtime socket's."""

_AT_START = {"init-addr": 1}
"""Words of a server line that only say what happens while HAProxy starts, and how many follow each."""

_FROM_THE_START = ("pool-max-conn", "-1", "pool-purge-delay", "5s", "error-limit", "10")
"""What each server of the file has unless its line says otherwise, and one that is added at run time has not: without
the first two HAProxy keeps no connection to it open, without the last the first error counts as too many."""


@dataclass(frozen=True)
class Server:
    """One server as it is to be.

    Attributes:
        section: the section that has it.
        name: its name.
        host: the address that is dialled.
        port: likewise.
        options: what follows on its line in the file.
        at_run_time: what ``add server`` has to be given so that the server is the same as with that line,
            or None where the two parsers would read it differently.
    """

    section: str
    name: str
    host: str
    port: int
    options: str
    at_run_time: str | None

    @property
    def key(self) -> Key:
        """What HAProxy finds it by."""
        return self.section, self.name

    @property
    def address(self) -> str:
        """Host and port, as HAProxy writes them."""
        return joined(self.host, self.port)

    @property
    def path(self) -> str:
        """Section and name as the runtime socket takes them."""
        return f"{self.section}/{self.name}"

    @property
    def checked(self) -> bool:
        """Whether HAProxy checks its health."""
        return "check" in (self.at_run_time or self.options).split()


def key_of(service: Service, backend: Endpoint) -> Key:
    """Section and name of the server that a backend is."""
    return service.proxy.backend_name, backend.server_name(with_host=service.named_with_host)


def servers_of(settings: Settings, service: Service, backends: Sequence[Endpoint]) -> Iterator[Server]:
    """The servers of a service, in the order of the file."""
    inherited = " ".join(_defaults(settings, service))
    for backend in sorted(backends, reverse=service.proxy.backend_order == "desc"):
        section, name = key_of(service, backend)
        options = _options(service, backend, name)
        yield Server(section, name, backend.host, backend.port, options, _at_run_time(f"{inherited} {options}"))


_OURS = re.compile(r"(?:.+_)?[0-9a-f]{12}_[0-9]{1,5}\Z")


def is_named_by_us(name: str) -> bool:
    """Whether a server's name is one that we give to containers."""
    return _OURS.match(name) is not None


def servers_of_the_operator(service: Service) -> frozenset[str]:
    """Names of the servers that the operator writes into ``listen`` or ``backend`` himself: they are his."""
    names: set[str] = set()
    for line in (*service.proxy.listen, *service.proxy.backend):
        try:
            # HAProxy takes a name in quotes as well.
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if words[:1] == ["server"] and len(words) > 1:
            names.add(words[1])
        elif words[:1] == ["server-template"] and len(words) > 2:
            first, _, last = words[2].rpartition("-")
            if last.isdigit() and (first or "1").isdigit():
                names.update(f"{words[1]}{number}" for number in range(int(first or "1"), int(last) + 1))
    return frozenset(names)


def is_checked(settings: Settings, service: Service) -> bool:
    """Whether HAProxy checks the health of a service's servers; without that they are usable at once."""
    words = [*_defaults(settings, service), *service.proxy.server_options.split()]
    return "check" in words


def by_service(settings: Settings, backends: Mapping[str, Sequence[Endpoint]]) -> dict[str, list[Server]]:
    """The servers of every service, by its name."""
    return {
        service.name: list(servers_of(settings, service, backends.get(service.name, ())))
        for service in settings.services
    }


def by_key(servers: Mapping[str, Sequence[Server]]) -> dict[Key, Server]:
    """The same servers by what HAProxy finds them by."""
    return {server.key: server for some in servers.values() for server in some}


def _options(service: Service, backend: Endpoint, name: str) -> str:
    options = service.proxy.server_options
    for word, value in (("%{host}", backend.host), ("%{port}", str(backend.port)), ("%{name}", name)):
        options = options.replace(word, value)
    if service.proxy.cookie:
        cookie = {"name": name, "hash": hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()}
        options += f" cookie {cookie[service.proxy.cookie]}"
    return f"{options} {backend.options()}".strip()


def _defaults(settings: Settings, service: Service) -> Iterator[str]:
    """What the file's servers inherit, and those that are added at run time do not."""
    proxy = service.proxy
    for line in (*settings.haproxy.template["defaults"], *proxy.listen, *proxy.backend):
        words = line.split()
        if words[:1] == ["default-server"]:
            yield from words[1:]


@lru_cache
def _at_run_time(options: str) -> str | None:
    """What most servers have in common is worked out once."""
    kept, rest = list(_FROM_THE_START), options.split()
    while rest:
        word = rest.pop(0)
        if word in _AT_START:
            del rest[: _AT_START[word]]
        else:
            kept.append(word)
    text = " ".join(kept)
    return text if _PLAIN.match(text) else None
