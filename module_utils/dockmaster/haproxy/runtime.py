"""HAProxy's Runtime API: one command, one answer, on a Unix socket."""

from __future__ import annotations

import csv
import re
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import RuntimeApiError, RuntimeApiSilent
from ..model.endpoint import joined
from .servers import Key

_MAX_ANSWER = 64 * 1024 * 1024
_STRUCTURE = "dockmaster "

READY = "ready"
DRAIN = "drain"
MAINT = "maint"
_TOLD_MAINT = 0x01
_TOLD_DRAIN = 0x08
"""HAProxy's manual, "show servers state": srv_admin_state. The other bits say why else a server is out of service, such
as a name without an address: no command ends that."""

_COLUMNS = ["pxname", "svname", "status", "check_status", "scur", "req_tot", "stot", "weight", "lastchg", "act", "bck"]
"""Columns of ``show stat`` that say what is asked here."""

_DONE = re.compile(
    r"(New server registered\.|Server deleted\.|no need to change the (addr|port).*|"
    r"(IP|port) changed from .*|[ \n])*\Z"
)
"""What a command that changes a server answers when it is done."""

THERE_ALREADY = "Already exists"
"""What it answers, among others, to ``add server`` if there is one of that name."""

NO_SUCH_SERVER = "No such server"
"""What it answers, among others, where there is none."""


@dataclass(frozen=True)
class ServerState:
    """What HAProxy says of one server, from ``show stat`` and ``show servers state``.

    Attributes:
        proxy: the section.
        name: the server.
        host: what HAProxy dials; port: likewise.
        admin: what it was told: ``ready``, ``drain`` or ``maint``.
        status: ``UP``, ``DOWN``, ``MAINT``, ``DRAIN``, ``no check``, with a count while it changes.
        checked: whether its first health check is over, or it has none.
        sessions: now under way.
        requests: so far; sessions where the service is not HTTP.
        weight: in force.
        since: seconds since its status changed.
    """

    proxy: str
    name: str
    host: str
    port: int
    admin: str
    status: str
    checked: bool
    sessions: int
    requests: int
    weight: int
    since: int

    @property
    def key(self) -> Key:
        """What it is found by."""
        return self.proxy, self.name

    @property
    def address(self) -> str:
        """Host and port, as HAProxy writes them."""
        return joined(self.host, self.port)

    @property
    def usable(self) -> bool:
        """Whether it gets new traffic."""
        return self.admin == READY and self.status.split(" ")[0] in ("UP", "no")

    @property
    def passes(self) -> bool:
        """Whether its check does, or would where it has none, whatever it was told."""
        return self.status.split(" ")[0] in ("UP", "no", "DRAIN")


@dataclass(frozen=True)
class Running:
    """The HAProxy that runs.

    Attributes:
        structure: the digest of the configuration that it has, or None where somebody else's runs.
        worker: the process id of its worker.
        adds: whether it can add a server at run time.
        deletes: whether it can delete one safely: it can wait until one may be.
        servers: by section and name.
    """

    structure: str | None
    worker: str
    adds: bool = True
    deletes: bool = False
    servers: Mapping[Key, ServerState] = field(default_factory=dict)


class Runtime:
    """The runtime socket of a HAProxy process.

    Args:
        path: of the socket.
        timeout: seconds for a whole answer.
    """

    def __init__(self, path: str, timeout: float = 5.0) -> None:
        self.path = path
        self._timeout = timeout

    def command(self, line: str) -> str:
        """Send one command and return the answer; raises RuntimeApiSilent where none comes, or not all of it."""
        deadline = time.monotonic() + self._timeout
        answer = bytearray()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._timeout)
                connection.connect(self.path)
                connection.sendall(f"{line}\n".encode())
                while chunk := connection.recv(65536):
                    answer += chunk
                    if len(answer) > _MAX_ANSWER or time.monotonic() > deadline:
                        raise RuntimeApiSilent(f"{self.path}: the answer to {line!r} does not end")
        except OSError as error:
            raise RuntimeApiSilent(f"{self.path}: no answer to {line!r}: {error.strerror or error}") from error
        if not answer.endswith(b"\n"):
            raise RuntimeApiSilent(f"{self.path}: the answer to {line!r} was cut off")
        return answer.decode(errors="replace")

    def change(self, commands: Sequence[str]) -> None:
        """Send commands that change servers, in one line; raises RuntimeApiError where HAProxy refuses one."""
        line = "; ".join(commands)
        answer = self.command(line)
        if not _DONE.match(answer):
            raise RuntimeApiError(f"HAProxy's answer to {line!r}: {' '.join(answer.split())}")

    def info(self) -> dict[str, str]:
        """The process: version, pid, limits, the description that the configuration gives it."""
        return _info(self.command("show info"))

    def usable_servers(self, section: str) -> int:
        """How many servers of a section get new traffic."""
        usable = self.usable_by_section()
        if section not in usable:
            raise RuntimeApiError(f"{self.path}: there is no section {section}")
        return usable[section]

    def usable_by_section(self) -> dict[str, int]:
        """How many servers of each section get new traffic; as quick for ten thousand as for two."""
        # Asked for by its name it may be the frontend of that name that is found.
        rows = _table(self.command("show stat -1 2 -1"))
        return {row["pxname"]: int(row["act"] or 0) + int(row["bck"] or 0) for row in rows}

    def running(self) -> Running:
        """What runs, with every server of every section."""
        info, knows = _info(self.command("show info")), self.command("help")
        description = info.get("description", "")
        return Running(
            structure=description.removeprefix(_STRUCTURE) if description.startswith(_STRUCTURE) else None,
            worker=info.get("Pid", ""),
            adds="add server" in knows,
            deletes="del server" in knows and re.search(r"^ *wait ", knows, re.MULTILINE) is not None,
            servers={state.key: state for state in self.servers()},
        )

    def servers(self, section: str | None = None, keys: Collection[Key] | None = None) -> list[ServerState]:
        """Every server of a section, or of all; where keys are given, only these, at a fraction of the cost."""
        told: dict[Key, list[str]] = {}
        number = ""
        for line in self.command(f"show servers state {section or ''}").splitlines():
            words = line.split(" ", 4)
            if len(words) < 5 or words[0].startswith("#"):
                continue
            number, key = words[0], (words[1], words[3])
            if keys is None or key in keys:
                told[key] = words[4].split()
        if not told:
            return []
        # A frontend may have the section's name too, so it is asked for by its number. One that came or went between
        # the two commands is not looked at this time.
        command = f"show stat {f'#{number}' if section else '-1'} 4 -1"
        try:
            return [_state(row, told[row["pxname"], row["svname"]]) for row in _table(self.command(command), told)]
        except (IndexError, KeyError, ValueError) as error:
            raise RuntimeApiError(f"{self.path}: the answer to {command!r} makes no sense: {error!r}") from error


def _info(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def _table(text: str, keys: Collection[Key] | None = None) -> Iterator[dict[str, str]]:
    """Rows of ``show stat``, with the columns that are looked at: there are a hundred."""
    lines = text.strip().removeprefix("# ").splitlines()
    head = lines[0].split(",") if lines else []
    columns = [(name, head.index(name)) for name in _COLUMNS if name in head]
    chosen = (line for line in lines[1:] if keys is None or tuple(line.split(",", 2)[:2]) in keys)
    for row in csv.reader(chosen):
        yield {name: row[column] for name, column in columns}


def _state(row: Mapping[str, str], state: Sequence[str]) -> ServerState:
    """A server's row of both answers; the second from its address on."""
    told = int(state[2])
    return ServerState(
        proxy=row["pxname"],
        name=row["svname"],
        host=state[13] if state[13] != "-" else state[0],
        port=int(state[14]),
        admin=MAINT if told & _TOLD_MAINT else DRAIN if told & _TOLD_DRAIN else READY,
        status=row["status"],
        checked=row.get("check_status") not in ("INI", "* INI"),
        sessions=int(row["scur"] or 0),
        requests=int(row.get("req_tot") or row["stot"] or 0),
        weight=int(row["weight"] or 0),
        since=int(row.get("lastchg") or 0),
    )
