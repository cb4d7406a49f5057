"""Containers with moods on a test host, and what the watcher and HAProxy say of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ask import containers, within
from testinfra.host import Host

_APPLICATION = (Path(__file__).parent / "moody.js").read_text()
FILE = "/root/moody.js"


def start(host: Host, *options: str, **mood: object) -> str:
    """Start a container of the service with a mood, and return its short id at once."""
    host.check_output("printf %%s %s > %s", _APPLICATION, FILE)
    environment = " ".join(f"--env {key}={value}" for key, value in mood.items())
    command = f"docker run --detach --publish 8000 --volume {FILE}:/moody.js {environment} {' '.join(options)}"
    return str(host.check_output(f"{command} local/nodeapp node /moody.js"))[:12]


@contextmanager
def started(host: Host, *options: str, **mood: object) -> Iterator[str]:
    """A container of the service that gets traffic, for as long as the block lasts; its short id."""
    container = start(host, *options, **mood)
    try:
        within(30, lambda: serves(host, container))
        yield container
    finally:
        host.check_output("docker rm --force --volumes %s", container)
        within(30, lambda: not in_haproxy(host, container))


def serves(host: Host, container: str) -> bool:
    """Whether it answers requests to the service."""
    return container in containers(host)


def in_haproxy(host: Host, container: str) -> str:
    """What HAProxy says of its server; the empty string where it has none, or has it out of service."""
    rows = tell(host, "show stat nodesrv 4 -1").splitlines()
    found = [row.split(",")[17] for row in rows if row.startswith("nodesrv,") and container in row]
    return next((status for status in found if status != "MAINT"), "")


def tell(host: Host, command: str) -> str:
    """Say something to HAProxy's runtime socket, which may be about to listen again; its answer."""
    return str(host.check_output("echo %s | python3 -c %s", command, _SOCKET))


def worker(host: Host) -> str:
    """Process id of HAProxy's worker: another one after a reload."""
    told = re.search(r"^Pid: (\d+)", tell(host, "show info"), re.MULTILINE)
    assert told
    return told[1]


def log(host: Host, since: str) -> list[dict[str, str]]:
    """The watcher's changes since then, each as its words."""
    lines = host.check_output(
        "journalctl --sync && journalctl --unit dockmaster-watch --output cat --no-pager --since %s", f"@{since}"
    ).splitlines()
    return [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in lines if line.startswith("change=")]


def now(host: Host) -> str:
    """The host's time, as its journal takes it."""
    return str(host.check_output("date +%s.%6N"))


def agrees(host: Host) -> bool:
    """Whether Docker and HAProxy say the same, by the command's word."""
    return bool(json.loads(host.run("dockmaster status --json").stdout)["healthy"])


_SOCKET = """
import socket, sys, time
deadline = time.monotonic() + 20
while True:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect('/run/haproxy/admin.sock')
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
connection.sendall(sys.stdin.buffer.read())
while chunk := connection.recv(65536):
    sys.stdout.buffer.write(chunk)
"""
