"""What the unit tests share: recorded answers, configurations, and a real HAProxy."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from ansible_runs import ROOT as ROOT
from ansible_runs import play
from docker_api import simulated_docker
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.haproxy import process
from waiting import until
from watching import Watched, watched

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

RECORDINGS = Path(__file__).parent / "recordings"
TEMPLATE = ROOT / "roles" / "haproxy" / "templates" / "haproxy.cfg.j2"

Run = Callable[..., subprocess.CompletedProcess[str]]
"""Runs the command with arguments."""


@pytest.fixture(scope="session")
def template() -> str:
    """The one template."""
    return TEMPLATE.read_bytes().decode()


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as the role makes it."""
    folder = tmp_path_factory.mktemp("command")
    tasks = yaml.safe_load((ROOT / "roles" / "dockmaster" / "tasks" / "install.yml").read_text())
    task = next(task for task in tasks if "zip_application" in task)
    task["zip_application"]["dest"] = str(folder / "dockmaster")
    del task["notify"]
    play([task], folder, variables={"role_path": str(ROOT / "roles" / "dockmaster")})
    return folder / "dockmaster"


@pytest.fixture(scope="session", params=sorted(path.name for path in RECORDINGS.glob("*.json")))
def recorded(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What a Docker engine said of containers of every kind: Debian 12's, and Debian 13's."""
    answer = json.loads((RECORDINGS / request.param).read_text())
    containers: list[dict[str, Any]] = answer["containers"]
    return containers


@pytest.fixture
def run(command: Path) -> Run:
    """Runs the command as a bare shell does."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        bare = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        return subprocess.run([command, *arguments], capture_output=True, text=True, check=False, env=bare, timeout=60)

    return call


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="dm") as name:
        yield Path(name)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives ports of the loopback that nobody has, and that the system gives to nobody meanwhile."""

    def port() -> int:
        for _ in range(100):
            number = random.randrange(10_000, 32_768)
            with socket.socket() as unused, suppress(OSError):
                unused.bind(("127.0.0.1", number))
                return number
        raise AssertionError("no port is free")

    return port


@pytest.fixture
def plain(folder: Path, free_port: Callable[[], int]) -> dict[str, Any]:
    """A configuration whose files are all in the folder."""
    return {
        "services": {
            "web": {
                "discovery": {
                    "image_name": "local/nodeapp",
                    "container_port": 8000,
                    "servers": [{"name": "localhost", "host": "127.0.0.1"}],
                },
                "haproxy": {"port": free_port(), "listen": ["mode http", "option httpchk GET /"]},
            }
        },
        "haproxy": {
            "config_file_path": str(folder / "haproxy.cfg"),
            "pid_file": str(folder / "haproxy.pid"),
            "socket_file_path": str(folder / "haproxy.sock"),
            "state_file": str(folder / "state" / "last_known.json"),
            "run_directory": str(folder / "run"),
            "bind_address": "127.0.0.1",
            # Without one for checks it is their interval, which is short here.
            "timeouts": {"connect": "1s", "client": "5s", "server": "5s", "check": "5s"},
            "retries": 3,
            "redispatch": 1,
            "retry_on": ["conn-failure", "empty-response"],
        },
    }


@pytest.fixture
def settings(plain: dict[str, Any]) -> Settings:
    """The same, read."""
    return parse(plain, "test")


@pytest.fixture
def start_haproxy(settings: Settings) -> Iterator[Callable[[], None]]:
    """Starts a real HAProxy with the configuration file that is there; stops it at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        paths = settings.haproxy
        command: list[str | Path] = [process.installed() or "haproxy", "-W"]
        command += ["-f", paths.config_file_path, "-p", paths.pid_file]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until(lambda: Path(str(paths.socket_file_path)).exists() and process.running(paths))

    yield start
    for haproxy in started:
        haproxy.terminate()
        haproxy.wait(10)


@pytest.fixture
def around(plain: dict[str, Any], folder: Path, template: str) -> Iterator[Watched]:
    """What a watcher needs; HAProxy and the watcher are not started yet."""
    with simulated_docker() as api, watched(plain, api, folder, template) as everything:
        yield everything


@pytest.fixture
def watching(around: Watched, start_haproxy: Callable[[], None]) -> Watched:
    """A watcher at work: two containers get traffic."""
    around.begin(start_haproxy, 1, 2)
    return around
