"""What the simulated HAProxy reads of a configuration file: its sections, and the servers of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

# fmt: off
_WITH_A_VALUE = frozenset([
    "addr", "agent-addr", "agent-inter", "check-addr", "cookie", "error-limit", "init-addr", "max-reuse", "maxconn",
    "maxqueue", "minconn", "observe", "on-error", "on-marked-down", "on-marked-up", "pool-low-conn", "pool-max-conn",
    "pool-purge-delay", "port", "proto", "slowstart", "source",
])
# fmt: on
_ALONE = frozenset(["send-proxy", "send-proxy-v2", "stick"])
_ONLY_IN_THE_FILE = {"2.6": frozenset(["init-addr", "cookie"]), "3.0": frozenset(["init-addr"])}
_FLAGS = {
    "check": ("check", True),
    "no-check": ("check", False),
    "agent-check": ("agent", True),
    "backup": ("backup", True),
    "disabled": ("disabled", True),
}
_TIMES = {"inter": "inter", "fastinter": "fast_inter", "downinter": "down_inter"}
_COUNTS = {"rise": "rise", "fall": "fall", "weight": "weight", "agent-port": "agent_port"}
_UNITS = {"us": 1e-6, "ms": 1e-3, "": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_STATIC_BALANCE = ("static-rr", "source", "uri", "hdr", "url_param", "rdp-cookie")


class Rejected(Exception):
    """HAProxy does not take it; says why in HAProxy's words."""


@dataclass(frozen=True)
class Options:
    """What a server line says, as far as it matters here. Times are seconds."""

    check: bool = False
    agent: bool = False
    backup: bool = False
    disabled: bool = False
    inter: float = 2.0
    fast_inter: float | None = None
    down_inter: float | None = None
    rise: int = 2
    fall: int = 3
    weight: int = 1
    agent_port: int = 0


@dataclass(frozen=True)
class ServerLine:
    """A server of the file."""

    name: str
    host: str
    port: int
    options: Options


@dataclass
class Section:
    """A section that traffic goes through.

    Attributes:
        kind: ``frontend``, ``backend`` or ``listen``.
        name: its name.
        http: whether it speaks HTTP.
        http_check: whether checks are requests.
        takes_servers: whether its way of balancing lets servers be added at run time.
        defaults: what its servers inherit in the file.
        servers: of the file.
    """

    kind: str
    name: str
    http: bool = False
    http_check: bool = False
    takes_servers: bool = True
    defaults: Options = field(default_factory=Options)
    servers: list[ServerLine] = field(default_factory=list)


@dataclass
class File:
    """A configuration that HAProxy has read."""

    description: str = ""
    sections: list[Section] = field(default_factory=list)


def read(text: str) -> File:
    """Read a configuration; raises Rejected."""
    found = File()
    inherited, http, section, kind = Options(), False, None, ""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if not line[0].isspace():
            kind = words[0]
            section = None
            if kind in ("frontend", "backend", "listen"):
                section = Section(kind, words[1], http, defaults=inherited)
                found.sections.append(section)
        elif kind == "global" and words[0] == "description":
            found.description = line.split(None, 1)[1].strip().strip('"')
        elif kind == "defaults" and words[0] == "default-server":
            inherited = options(words[1:], inherited)
        elif kind == "defaults" and words[0] == "mode":
            http = words[1] == "http"
        elif section:
            _read_line(section, words)
    return found


def _read_line(section: Section, words: Sequence[str]) -> None:
    if words[0] == "default-server":
        section.defaults = options(words[1:], section.defaults)
    elif words[0] == "mode":
        section.http = words[1] == "http"
    elif words[:2] == ["option", "httpchk"]:
        section.http_check = True
    elif words[0] == "balance":
        section.takes_servers = not words[1].startswith(_STATIC_BALANCE)
    elif words[0] == "server":
        section.servers.append(_server(section, words[1], words[2], words[3:]))
    elif words[0] == "server-template":
        first, _, last = words[2].rpartition("-")
        for number in range(int(first or 1), int(last) + 1):
            section.servers.append(_server(section, f"{words[1]}{number}", words[3], words[4:]))
    names = [server.name for server in section.servers]
    if len(set(names)) < len(names):
        raise Rejected(f"section {section.name} has two servers of one name")


def _server(section: Section, name: str, address: str, words: Sequence[str]) -> ServerLine:
    return ServerLine(name, *split(address), options(words, section.defaults))


def split(address: str) -> tuple[str, int]:
    """Host and port of an address as HAProxy takes it."""
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() else (address, 0)


def options(words: Sequence[str], inherited: Options, at_run_time: str = "") -> Options:
    """Options of a server on top of those that it inherits; raises Rejected.

    Args:
        words: of its line.
        inherited: those that it has without.
        at_run_time: the version of HAProxy that is given them at run time; none where they stand in the file.
    """
    found: dict[str, Any] = {}
    for word, value in _pairs(words):
        if word in _ONLY_IN_THE_FILE.get(at_run_time, ()):
            raise Rejected(f"'{word}' option is not accepted for dynamic server")
        if word in _FLAGS:
            name, on = _FLAGS[word]
            found[name] = on
        elif word in _TIMES:
            found[_TIMES[word]] = _seconds(value)
        elif word in _COUNTS:
            found[_COUNTS[word]] = int(value)
    return replace(inherited, **found)


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in _WITH_A_VALUE or word in _TIMES or word in _COUNTS:
            if not rest:
                raise Rejected(f"'{word}' expects an argument.")
            yield word, rest.pop(0)
        elif word in _ALONE or word in _FLAGS:
            yield word, ""
        else:
            raise Rejected(f"unknown keyword '{word}'.")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(us|ms|s|m|h|d|)", text)
    if not found:
        raise Rejected(f"unexpected character in argument <{text}>.")
    return int(found[1]) * _UNITS[found[2]]
