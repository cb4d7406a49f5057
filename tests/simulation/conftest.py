"""What the tests of the simulation are given."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.simulation.contract import Both, Ports, beside, configuration


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which HAProxy the simulated one is held against: that of the machine, unless others are named."""
    parser.addoption("--haproxy", action="append", default=[], metavar="PROGRAM", help="hold the simulated one against")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each HAProxy."""
    if "program" in metafunc.fixturenames:
        path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin"
        programs = metafunc.config.getoption("haproxy") or [shutil.which("haproxy", path=path) or "haproxy"]
        metafunc.parametrize("program", programs)


class LocalHAProxy:
    """A real HAProxy on this machine."""

    def __init__(self, program: str, folder: Path, file: Path) -> None:
        self._socket = folder / "socket"
        self._process = subprocess.Popen(
            [program, "-W", "-f", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait_for_another_worker("")

    def command(self, line: str) -> str:
        """Its answer on the runtime socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self._socket))
            connection.sendall(f"{line}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def reload(self) -> None:
        """Have it read its file again, and wait for the new worker."""
        before = self._worker()
        self._process.send_signal(signal.SIGUSR2)
        self._wait_for_another_worker(before)

    @contextmanager
    def connected(self, port: int) -> Iterator[None]:
        """A client of one of its ports for as long as the block lasts."""
        with socket.create_connection(("127.0.0.1", port)):
            yield

    def end(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(10)

    def _worker(self) -> str:
        with suppress(OSError):
            return next((line for line in self.command("show info").splitlines() if line.startswith("Pid:")), "")
        return ""

    def _wait_for_another_worker(self, before: str) -> None:
        deadline = time.monotonic() + 10
        while self._worker() in ("", before):
            assert time.monotonic() < deadline, "no worker answers"
            time.sleep(0.02)


def version_of(program: str) -> str:
    """The branch of a HAProxy, such as 2.6."""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout
    return said.split("version ", 1)[1][:3]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="dm") as name:
        yield Path(name)


@pytest.fixture
def ports() -> Ports:
    """Ports that nobody has."""
    found: set[int] = set()
    while len(found) < 4:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as unused, suppress(OSError):
            unused.bind(("127.0.0.1", port))
            found.add(port)
    return Ports(*found)


@pytest.fixture
def both(program: str, folder: Path, ports: Ports) -> Iterator[Both]:
    """A real HAProxy, and the simulated one beside it."""
    file = folder / "haproxy.cfg"
    file.write_text(configuration(ports, str(folder / "socket")))
    real = LocalHAProxy(program, folder, file)
    try:
        yield beside(real, version_of(program), ports, file)
    finally:
        real.end()
