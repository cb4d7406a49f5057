"""Run HAProxy as its package does: a master and its worker."""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import ready, started

HAPROXY = shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/sbin") or "haproxy"
USABLE = ("UP", "no check")


class HAProxy:
    """A running HAProxy.

    Attributes:
        pid: of the master.
        stats: the runtime socket.
        master: the master's socket.
    """

    def __init__(self, pid: int, stats: Path, master: Path) -> None:
        self.pid = pid
        self.stats = stats
        self.master = master

    def ask(self, command: str) -> str:
        """Send a command to the Runtime API, and return the answer."""
        return _ask(self.stats, command)

    def servers(self) -> dict[str, str]:
        """Return the status of each server by its name."""
        rows = csv.DictReader(self.ask("show stat -1 4 -1").removeprefix("# ").splitlines())
        return {row["svname"]: row["status"] for row in rows}

    def usable(self) -> set[str]:
        """Return the names of the servers that get traffic."""
        return {name for name, status in self.servers().items() if status.startswith(USABLE)}

    def reloads(self) -> int:
        """Return how often the master has reloaded."""
        rows = (line.split() for line in _ask(self.master, "show proc").splitlines())
        return next(int(row[2]) for row in rows if row[1:2] == ["master"])


@contextmanager
def haproxy(config: Path, pid_file: Path, stats: Path) -> Iterator[HAProxy]:
    """Run HAProxy with a configuration that has a runtime socket, and check the configuration first."""
    subprocess.run([HAPROXY, "-c", "-f", config], check=True, stdout=subprocess.DEVNULL)
    master = stats.with_name("master.sock")
    command: list[str | Path] = [HAPROXY, "-W", "-S", f"{master}", "-f", config, "-p", pid_file]
    log = stats.with_name("haproxy.log")
    with started(command, log) as process:
        ready(process, log, lambda: _answers(stats, "show info") and _answers(master, "show proc"))
        yield HAProxy(process.pid, stats, master)


def _answers(path: Path, command: str) -> bool:
    try:
        return bool(_ask(path, command))
    except OSError:
        return False


def _ask(path: Path, command: str) -> str:
    answer = bytearray()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(f"{command}\n".encode())
        # The master does not close the connection after its answer.
        connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode()
