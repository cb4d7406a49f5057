"""Start containers that misbehave on a test host, and read what the watcher and HAProxy report."""

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
    """Start a container of the service, and return its short id at once. Its environment says how it behaves."""
    host.check_output("printf %%s %s > %s", _APPLICATION, FILE)
    environment = " ".join(f"--env {key}={value}" for key, value in mood.items())
    command = f"docker run --detach --publish 8000 --volume {FILE}:/moody.js {environment} {' '.join(options)}"
    return str(host.check_output(f"{command} local/nodeapp node /moody.js"))[:12]


@contextmanager
def started(host: Host, *options: str, **mood: object) -> Iterator[str]:
    """Run a container of the service during the block, from its first request on. Yields its short id."""
    container = start(host, *options, **mood)
    try:
        within(30, lambda: serves(host, container))
        yield container
    finally:
        host.check_output("docker rm --force --volumes %s", container)
        within(30, lambda: not in_haproxy(host, container))


def serves(host: Host, container: str) -> bool:
    """Whether a container answers requests to the service."""
    return container in containers(host)


def in_haproxy(host: Host, container: str) -> str:
    """Return HAProxy's status of a server; empty if there is no such server, or if it is in maintenance."""
    rows = runtime_api(host, "show stat nodesrv 4 -1").splitlines()
    found = [row.split(",")[17] for row in rows if row.startswith("nodesrv,") and container in row]
    return next((status for status in found if status != "MAINT"), "")


def runtime_api(host: Host, command: str) -> str:
    """Send a command to HAProxy's runtime socket, and return the answer. HAProxy may just be starting."""
    return str(host.check_output("echo %s | python3 -c %s", command, _SOCKET))


def worker(host: Host) -> str:
    """Return the process id of HAProxy's worker, which a reload changes."""
    found = re.search(r"^Pid: (\d+)", runtime_api(host, "show info"), re.MULTILINE)
    assert found
    return found[1]


def log(host: Host, since: str) -> list[dict[str, str]]:
    """Return the changes that the watcher has logged since then, as dictionaries."""
    lines = host.check_output(
        "journalctl --sync && journalctl --unit dockmaster-watch --output cat --no-pager --since %s", f"@{since}"
    ).splitlines()
    return [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in lines if line.startswith("change=")]


def now(host: Host) -> str:
    """Return the time on the host in the format of its journal."""
    return str(host.check_output("date +%s.%6N"))


def agrees(host: Host) -> bool:
    """Whether ``dockmaster status`` finds that Docker and HAProxy agree."""
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
