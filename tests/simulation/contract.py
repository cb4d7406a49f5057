"""What the simulated HAProxy and a real one have to answer alike: one course of commands for both.

Whoever has a HAProxy somewhere, on this machine or on another host, gives it as a ``Real``.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from difflib import ndiff
from pathlib import Path
from pprint import pformat
from typing import Protocol

from tests.simulation.clock import Clock
from tests.simulation.simulated_haproxy import SimulatedHAProxy

SECONDS = 4.0
"""That both have to come to the same in: checks take their time."""

_VARY = {"srv_time_since_last_change"}


class Real(Protocol):
    """A HAProxy that runs with the configuration of ``configuration``."""

    def command(self, line: str) -> str:
        """Its answer on the runtime socket."""

    def reload(self) -> None:
        """Have it read its file again, and wait for the new worker."""

    def connected(self, port: int) -> AbstractContextManager[None]:
        """A client of one of its ports for as long as the block lasts."""


@dataclass(frozen=True)
class Ports:
    """Ports of the loopback on the host of the real HAProxy.

    Attributes:
        live: where checks pass; it answers itself.
        held: takes connections, and keeps them open without a word.
        front: of the section whose clients are held.
        dead: where nobody listens.
    """

    live: int
    held: int
    front: int
    dead: int


def configuration(ports: Ports, socket: str) -> str:
    """A file with everything that the template writes servers into."""
    return f"""global
    description "dockmaster 0123abcd"
    stats socket {socket} level admin mode 600
defaults
    mode http
    default-server init-addr last,libc,none
    timeout connect 1s
    timeout client 1m
    timeout server 1m
frontend live
    bind 127.0.0.1:{ports.live}
    http-request return status 200
frontend held
    mode tcp
    bind 127.0.0.1:{ports.held}
    tcp-request inspect-delay 1h
    tcp-request content reject if WAIT_END
backend web
    balance leastconn
    option httpchk GET /
    default-server check inter 1h fastinter 1h downinter 1h fall 3 rise 2
    server first 127.0.0.1:{ports.live}
    server second 127.0.0.1:{ports.dead} backup weight 7
    server quick 127.0.0.1:{ports.live} inter 50ms fastinter 50ms downinter 50ms
    server-template more 2 127.0.0.1:{ports.live} no-check
listen tcp
    mode tcp
    bind 127.0.0.1:{ports.front}
    server held 127.0.0.1:{ports.held}
backend fixed
    balance source
    server one 127.0.0.1:{ports.live} disabled
backend empty
"""


def new_server(ports: Ports, name: str, *, live: bool, more: str = "") -> str:
    """As the engine adds one."""
    return (
        f"add server web/{name} 127.0.0.1:{ports.live if live else ports.dead} pool-max-conn -1 pool-purge-delay 5s "
        f"error-limit 10 check inter 1h rise 1 downinter 20ms{more}; enable health web/{name}; "
        f"set server web/{name} state drain; set server web/{name} health down; set server web/{name} state ready"
    )


@dataclass
class Both:
    """The two, side by side: the simulated one's clock goes with the real time."""

    real: Real
    simulated: SimulatedHAProxy
    clock: Clock
    said: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Send both a line that changes something; the answers have to be the same at once."""
        self._go_with_time()
        real, simulated = self.real.command(line), self.simulated.command(line)
        assert real == simulated, line

    def look(self) -> None:
        """Everything that can be asked has to become the same."""
        for command, view in LOOKS.items():
            self._until_alike(command, view)

    def servers(self) -> Mapping[tuple[str, str], str]:
        """The status of each server, once both say the same."""
        self._until_alike("show stat -1 4 -1", _servers)
        return {(row["pxname"], row["svname"]): row["status"] for row in _stat(self._both("show stat -1 4 -1")[1])}

    def wait_for(self, server: str, status: str) -> None:
        """Wait until both say so of a server."""
        key = ("web", server)
        _until(lambda: self._status(key) == (status, status), lambda: f"{key}: {self._status(key)}, not {status}")

    def wait_until_old(self, server: str, seconds: int) -> None:
        """Wait until nothing has changed about a server for so long."""
        _until(lambda: min(self.since(server)) >= seconds, lambda: f"{server}: {self.since(server)}")

    def since(self, server: str) -> list[int]:
        """Seconds since a server of the section web changed, as the real one and the simulated one say."""
        tables = map(_stat, self._both("show stat -1 4 -1"))
        return [int(row["lastchg"]) for table in tables for row in table if row["svname"] == server]

    def _status(self, key: tuple[str, str]) -> tuple[str, ...]:
        tables = map(_stat, self._both("show stat -1 4 -1"))
        return tuple(next(row["status"] for row in table if (row["pxname"], row["svname"]) == key) for table in tables)

    def _until_alike(self, command: str, view: Callable[[str], object]) -> None:
        def alike() -> bool:
            real, simulated = self._both(command)
            self.said[command] = pformat(view(real)).splitlines(), pformat(view(simulated)).splitlines()
            return view(real) == view(simulated)

        _until(alike, lambda: "\n".join([command, *ndiff(*self.said[command])]))

    def _both(self, command: str) -> tuple[str, str]:
        self._go_with_time()
        return self.real.command(command), self.simulated.command(command)

    def _go_with_time(self) -> None:
        self.clock.now = time.monotonic()
        self.simulated.tick()


def beside(real: Real, version: str, ports: Ports, file: Path) -> Both:
    """The simulated one with the same file."""
    clock = Clock(time.monotonic())
    simulated = SimulatedHAProxy(version, clock, lambda _, port: port in (ports.live, ports.held), file)
    simulated.start()
    return Both(real, simulated, clock)


def _until(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)


def _info(answer: str) -> object:
    found = dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
    return found["Name"], found["Version"][:3], found["description"], found["Pid"].isdigit(), answer[-2:]


def _help(answer: str) -> object:
    used = "add server", "del server", "enable agent ", "enable health ", "set server", "show servers state", "wait "
    return [line for line in answer.splitlines() if line.strip().startswith((*used, "show info ", "show stat "))]


def _state(answer: str) -> object:
    version, head, *lines, last = answer.split("\n")[:-1]
    names = head.removeprefix("# ").split()
    rows = [dict(zip(names, line.split(" "), strict=True)) for line in lines]
    return version, names, [{key: row[key] for key in row.keys() - _VARY} for row in rows], last


_COLUMNS = ["pxname", "svname", "scur", "stot", "status", "weight", "act", "bck", "check_status", "req_tot", "lastchg"]


def _stat(answer: str) -> list[dict[str, str]]:
    assert answer.startswith("# pxname,svname,"), answer
    assert answer.endswith(",\n\n"), answer
    rows = csv.DictReader(answer.removeprefix("# ").splitlines())
    return [{name: row[name] for name in _COLUMNS} for row in rows]


def _servers(answer: str) -> object:
    """Without what has no time yet, and what is under way."""
    return [
        {name: value.removeprefix("* ") for name, value in row.items() if name != "lastchg"} for row in _stat(answer)
    ]


def _sections(answer: str) -> object:
    names = ("pxname", "svname", "status", "act", "bck")
    return [[row[name] for name in names] for row in _stat(answer)]


LOOKS: Mapping[str, Callable[[str], object]] = {
    "show info": _info,
    "help": _help,
    "show servers state": _state,
    "show servers state web": _state,
    "show servers state empty": lambda answer: answer,
    "show servers state nowhere": lambda answer: answer,
    "show stat -1 4 -1": _servers,
    "show stat #4 4 -1": _servers,
    "show stat #99 4 -1": lambda answer: answer,
    "show stat -1 2 -1": _sections,
}
