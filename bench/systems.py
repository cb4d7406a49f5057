"""The systems that are measured: each keeps a HAProxy in step with the containers, in its own way."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import command
from .containers import BALANCER_PORT, INSIDE, LOOPBACK
from .engine import API_PORT, IMAGE
from .haproxy import HAProxy, haproxy
from .place import CACHE, RUN
from .plan import Plan
from .processes import ready, started

EASYHAPROXY = CACHE / "easyhaproxy" / "bin" / "easy-haproxy"
SERVICE = "web"


@dataclass(frozen=True)
class System:
    """A system that runs.

    Attributes:
        name: what it is called in figures.
        interval: seconds between two looks at Docker; 0 where events are followed.
        roots: its processes, HAProxy among them; they may have others below them.
        reloads: gives how often HAProxy was reloaded so far.
        proxy: the HAProxy, where its runtime socket can be used.
        log: what the discovering process says.
        drain: drains a container and has it serve again, told the word and its id; None where the system cannot.
    """

    name: str
    interval: float
    roots: Sequence[int]
    reloads: Callable[[], int]
    proxy: HAProxy | None
    log: Path
    drain: Callable[[str, str], None] | None = None


Start = Callable[..., AbstractContextManager[System]]


def configuration(
    folder: Path,
    *,
    docker_hosts: Sequence[Mapping[str, Any]] = ({"name": "local", "host": LOOPBACK, "port": API_PORT},),
    discovery: Mapping[str, Any] | None = None,
    listen: Sequence[str] = (),
) -> Path:
    """Write a configuration of Dockmaster's: what the roles tell HAProxy, and the measured service."""
    settings = json.loads((CACHE / "haproxy.json").read_text())
    settings |= {
        "config_file_path": str(folder / "haproxy.cfg"),
        "socket_file_path": str(folder / "admin.sock"),
        "pid_file": str(folder / "haproxy.pid"),
        "state_file": str(folder / "backends.json"),
        "run_directory": str(folder / "run"),
    }
    service = {
        "discovery": {"image_name": IMAGE, "container_port": INSIDE, **(discovery or {})},
        "haproxy": {"port": BALANCER_PORT, "listen": ["mode http", "option httpchk GET /", *listen]},
    }
    config = {
        "discovery": {"servers": list(docker_hosts)},
        "services": {SERVICE: service},
        "haproxy": settings,
        "watch": {"metrics_directory": str(folder / "metrics")},
    }
    for name in ("run", "metrics"):
        (folder / name).mkdir()
    path = folder / "dockmaster.json"
    path.write_text(json.dumps(config))
    return path


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder of a system's own, empty at first."""
    path = RUN / name
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def balancer(config: Path) -> Iterator[HAProxy]:
    """Run HAProxy with what a first pass finds."""
    subprocess.run(command.sync(config), check=True, stdout=subprocess.DEVNULL)
    where = config.parent
    with haproxy(where / "haproxy.cfg", where / "haproxy.pid", where / "admin.sock") as running:
        yield running


@contextmanager
def passes(config: Path, interval: float = 5) -> Iterator[System]:
    """Dockmaster's own passes, as cron starts them."""
    log = config.parent / "passes.log"
    # As cron does: a process that goes on for a minute, and then the next.
    forever = ["sh", "-c", 'while :; do "$@"; done', "sh", *command.sync(config, "--every", f"{interval:g}")]
    with balancer(config) as proxy, started(forever, log) as process:
        yield System(
            "cron", interval, [process.pid, proxy.pid], proxy.reloads, proxy, log, partial(command.drain, config)
        )


@contextmanager
def watcher(config: Path) -> Iterator[System]:
    """Dockmaster's watcher, with the one-shot pass that it asks for."""
    log = config.parent / "watch.log"
    with balancer(config) as proxy, passes_on_request(config), started(command.watch(config), log) as process:
        ready(process, log, lambda: "state=ready" in log.read_text())
        yield System("watch", 0, [process.pid, proxy.pid], proxy.reloads, proxy, log, partial(command.drain, config))


@contextmanager
def passes_on_request(config: Path) -> Iterator[None]:
    """A pass whenever the watcher asks for one, as the path unit has it made."""
    asked = config.parent / "run" / "sync-wanted"
    ended = threading.Event()

    def serve() -> None:
        while not ended.wait(0.02):
            if asked.exists():
                subprocess.run(
                    command.sync(config, "--requested", str(asked.parent)), check=False, stdout=subprocess.DEVNULL
                )

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def cron(interval: float = 5, **more: Any) -> Iterator[System]:
    """The passes; by default with the published ports of this machine's containers."""
    with folder("cron") as where, passes(configuration(where, **more), interval) as system:
        yield system


@contextmanager
def watch(**more: Any) -> Iterator[System]:
    """The watcher, likewise."""
    with folder("watch") as where, watcher(configuration(where, **more)) as system:
        yield system


@contextmanager
def easyhaproxy(interval: int = 10) -> Iterator[System]:
    """EasyHAProxy from PyPI, by default as it comes; it dials the containers' own addresses."""
    with folder("easyhaproxy") as where:
        for name in ("haproxy", "www"):
            (where / name).mkdir()
        environment = {
            "EASYHAPROXY_DISCOVER": "docker",
            "EASYHAPROXY_BASE_PATH": str(where),
            "EASYHAPROXY_REFRESH_CONF": str(interval),
            # These files are in its container image, and not in its package.
            "HAPROXY_CUSTOMERRORS": "false",
        }
        log = where / "easyhaproxy.log"
        with started([EASYHAPROXY], log, environment) as process:

            def reloads() -> int:
                return log.read_text().count("Reloading...")

            yield System("EasyHAProxy", interval, [process.pid], reloads, None, log)


SYSTEMS: Mapping[str, Start] = {"watch": watch, "cron": cron, "easyhaproxy": easyhaproxy}
OURS: Mapping[str, Callable[[Path], AbstractContextManager[System]]] = {"watch": watcher, "cron": passes}
"""Those that follow any configuration of Dockmaster's."""


def chosen(plan: Plan) -> Iterator[tuple[str, Start]]:
    """The systems of a plan, by name."""
    for name in plan.systems:
        start = SYSTEMS[name]
        yield name, partial(start, plan.intervals) if plan.intervals and name != "watch" else start
