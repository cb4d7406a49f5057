"""A separate Docker engine in the namespaces of the measurements."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker.errors import DockerException

from .place import CACHE, RUN
from .processes import ready, started

IMAGE = "dockmaster-bench/application"
API_PORT = 4243
DATA = CACHE / "engine"


@contextmanager
def engine(*, userland_proxy: bool = True) -> Iterator[docker.DockerClient]:
    """Run a Docker engine that has the image of the application. Its containers are removed at the end.

    Args:
        userland_proxy: whether each published port has a docker-proxy, which is Docker's default.
    """
    nothing = RUN / "daemon.json"
    nothing.write_text("{}")
    command = [
        "dockerd",
        f"--config-file={nothing}",
        f"--data-root={DATA}",
        f"--exec-root={RUN}/engine",
        f"--pidfile={RUN}/engine.pid",
        "--host=unix:///run/docker.sock",
        f"--host=tcp://127.0.0.1:{API_PORT}",
        # systemd does not manage these namespaces.
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--userland-proxy={str(userland_proxy).lower()}",
    ]
    log = RUN / "engine.log"
    with started(command, log) as process:
        answering: list[docker.DockerClient] = []

        def answers() -> bool:
            try:
                answering.append(docker.DockerClient("unix:///run/docker.sock", version="auto", timeout=60))
            except DockerException:
                return False
            return True

        ready(process, log, answers)
        client = answering[0]
        try:
            if not client.images.list(IMAGE):
                with (CACHE / "application.tar").open("rb") as image:
                    client.images.load(image)
            yield client
        finally:
            for container in client.containers.list(all=True):
                container.remove(force=True, v=True)
            client.close()


def wipe() -> None:
    """Remove the data of the engine."""
    shutil.rmtree(DATA, ignore_errors=True)


def bridge_address() -> str:
    """Return the address of the machine on the engine's bridge."""
    command = ["ip", "-json", "-4", "address", "show", "docker0"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    address: str = found[0]["addr_info"][0]["local"]
    return address
