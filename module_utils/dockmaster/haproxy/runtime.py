"""HAProxy's Runtime API: one command, one answer, on a Unix socket."""

from __future__ import annotations

import csv
import socket
import time
from dataclasses import dataclass

from ..errors import RuntimeApiError

_MAX_ANSWER = 64 * 1024 * 1024
_STRUCTURE = "dockmaster "


@dataclass(frozen=True)
class ServerState:
    """What HAProxy says of one server, from ``show stat``.

    Attributes:
        proxy: the section.
        name: the server.
        address: host and port as HAProxy dials them.
        status: ``UP``, ``DOWN``, ``MAINT``, ``DRAIN``, ``no check``, with a count while it changes.
        checked: whether its first health check is over, or it has none.
        sessions: now under way.
        requests: so far; sessions where the service is not HTTP.
        weight: in force.
    """

    proxy: str
    name: str
    address: str
    status: str
    checked: bool
    sessions: int
    requests: int
    weight: int

    @property
    def usable(self) -> bool:
        """Whether it gets new traffic."""
        return self.status.split(" ")[0] in ("UP", "no")


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
        """Send one command and return the answer; raises RuntimeApiError where none comes."""
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
                        raise RuntimeApiError(f"{self.path}: the answer to {line!r} does not end")
        except OSError as error:
            raise RuntimeApiError(f"{self.path}: no answer to {line!r}: {error.strerror or error}") from error
        return answer.decode(errors="replace")

    def info(self) -> dict[str, str]:
        """The process: version, pid, limits, the description that the configuration gives it."""
        pairs = (line.split(": ", 1) for line in self.command("show info").splitlines() if ": " in line)
        return dict(pairs)

    def structure(self) -> str | None:
        """The digest of the configuration that runs, or None where somebody else's runs."""
        description = self.info().get("description", "")
        return description.removeprefix(_STRUCTURE) if description.startswith(_STRUCTURE) else None

    def servers(self) -> list[ServerState]:
        """Every server of every section."""
        text = self.command("show stat -1 4 -1").removeprefix("# ")
        return [
            ServerState(
                proxy=row["pxname"],
                name=row["svname"],
                address=row.get("addr", ""),
                status=row["status"],
                checked=row.get("check_status") not in ("INI", "* INI"),
                sessions=int(row["scur"] or 0),
                requests=int(row.get("req_tot") or row["stot"] or 0),
                weight=int(row["weight"] or 0),
            )
            for row in csv.DictReader(text.splitlines())
        ]
