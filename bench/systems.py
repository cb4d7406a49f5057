"""The measured systems: each keeps HAProxy in step with the containers in its own way."""

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
    """A running system.

    Attributes:
        name: its name in figures.
        interval: seconds between two queries of Docker; 0 if it follows events.
        roots: its processes and HAProxy, which may have children.
        reloads: returns how often HAProxy has been reloaded.
        proxy: HAProxy, if its runtime socket can be used.
        log: the log of the discovering process.
        drain: takes ``drain`` or ``ready``, and the id of a container; None if the system cannot drain.
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
    """Write a configuration of Dockmaster with the settings of the roles and the measured service."""
    settings = json.loads((CACHE / "haproxy.json").read_text())
    settings |= {
        "config_file_path": str(folder / "haproxy.cfg"),
        "socket_file_path": str(folder / "admin.sock"),
        "pid_file": str(folder / "haproxy.pid"),
        "state_file": str(folder / "last_known.json"),
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
    """Make an empty folder for a system."""
    path = RUN / name
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def balancer(config: Path) -> Iterator[HAProxy]:
    """Run HAProxy with the file that a first sync writes."""
    subprocess.run(command.sync(config), check=True, stdout=subprocess.DEVNULL)
    where = config.parent
    with haproxy(where / "haproxy.cfg", where / "haproxy.pid", where / "admin.sock") as running:
        yield running


@contextmanager
def syncs(config: Path, interval: float = 5) -> Iterator[System]:
    """Run Dockmaster's periodic syncs as cron does."""
    log = config.parent / "syncs.log"
    # Like cron: each process runs for a minute.
    forever = ["sh", "-c", 'while :; do "$@"; done', "sh", *command.sync(config, "--every", f"{interval:g}")]
    with balancer(config) as proxy, started(forever, log) as process:
        yield System(
            "cron", interval, [process.pid, proxy.pid], proxy.reloads, proxy, log, partial(command.drain, config)
        )


@contextmanager
def watcher(config: Path) -> Iterator[System]:
    """Run Dockmaster's watcher, and the syncs that it requests."""
    log = config.parent / "watch.log"
    with balancer(config) as proxy, syncs_on_request(config), started(command.watch(config), log) as process:
        ready(process, log, lambda: "state=ready" in log.read_text())
        yield System("watch", 0, [process.pid, proxy.pid], proxy.reloads, proxy, log, partial(command.drain, config))


@contextmanager
def syncs_on_request(config: Path) -> Iterator[None]:
    """Sync whenever the watcher requests it, as its path unit does."""
    requested = config.parent / "run" / "sync-wanted"
    ended = threading.Event()

    def serve() -> None:
        while not ended.wait(0.02):
            if requested.exists():
                subprocess.run(
                    command.sync(config, "--requested", str(requested.parent)), check=False, stdout=subprocess.DEVNULL
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
    """Run the periodic syncs, by default with the published ports of the containers."""
    with folder("cron") as where, syncs(configuration(where, **more), interval) as system:
        yield system


@contextmanager
def watch(**more: Any) -> Iterator[System]:
    """Run the watcher, by default with the published ports of the containers."""
    with folder("watch") as where, watcher(configuration(where, **more)) as system:
        yield system


@contextmanager
def easyhaproxy(interval: int = 10) -> Iterator[System]:
    """Run EasyHAProxy from PyPI, by default with its own interval. It uses the containers' own addresses."""
    with folder("easyhaproxy") as where:
        for name in ("haproxy", "www"):
            (where / name).mkdir()
        environment = {
            "EASYHAPROXY_DISCOVER": "docker",
            "EASYHAPROXY_BASE_PATH": str(where),
            "EASYHAPROXY_REFRESH_CONF": str(interval),
            # Its container image has these files, but its package does not.
            "HAPROXY_CUSTOMERRORS": "false",
        }
        log = where / "easyhaproxy.log"
        with started([EASYHAPROXY], log, environment) as process:

            def reloads() -> int:
                return log.read_text().count("Reloading...")

            yield System("EasyHAProxy", interval, [process.pid], reloads, None, log)


SYSTEMS: Mapping[str, Start] = {"watch": watch, "cron": cron, "easyhaproxy": easyhaproxy}
OURS: Mapping[str, Callable[[Path], AbstractContextManager[System]]] = {"watch": watcher, "cron": syncs}
"""The systems that take any configuration of Dockmaster."""


def chosen(plan: Plan) -> Iterator[tuple[str, Start]]:
    """Return the systems of a plan by name."""
    for name in plan.systems:
        start = SYSTEMS[name]
        yield name, partial(start, plan.intervals) if plan.intervals and name != "watch" else start
