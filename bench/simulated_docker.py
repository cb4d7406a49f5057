"""Simulated Docker APIs on real sockets, for more containers and hosts than one machine can run.

``python -m bench.simulated_docker SIZE HOSTS`` serves HOSTS engines with SIZE running containers in total. Engine n
listens at 127.1.0.n. Each entry of a list is a real engine's entry with another id, name and port. Lines on standard
input start and stop containers: see ``Simulated``.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .containers import INSIDE
from .engine import API_PORT, IMAGE
from .place import ROOT

FIRST_PORT = 20_000
RECORDED = ROOT / "tests" / "unit" / "recordings" / "docker-20.10.24.json"
VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24", "Os": "linux", "Arch": "amd64"}


def address(number: int) -> str:
    """Return the address of an engine and of its containers."""
    return f"127.1.0.{number}"


@dataclass
class Engine:
    """One simulated engine.

    Attributes:
        number: the number, from 1.
        mould: the entry that all entries are copied from.
        containers: the entries of its list by their ids.
        streams: the clients that follow its events.
        listed: the whole list as JSON; empty after a change.
        made: how many containers were started.
    """

    number: int
    mould: dict[str, Any]
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    streams: set[asyncio.StreamWriter] = field(default_factory=set)
    listed: bytes = b""
    made: int = 0

    def add(self) -> dict[str, Any]:
        """Start another container."""
        port = FIRST_PORT + self.made
        entry = copy.deepcopy(self.mould)
        entry["Id"] = hashlib.sha256(f"{self.number} {self.made}".encode()).hexdigest()
        entry["Names"] = [f"/simulated-{self.number}-{self.made}"]
        entry["Image"] = IMAGE
        entry["Ports"] = [{"IP": "0.0.0.0", "PrivatePort": INSIDE, "PublicPort": port, "Type": "tcp"}]
        self.made += 1
        self.containers[entry["Id"]] = entry
        self.listed = b""
        return entry

    def send_event(self, entry: dict[str, Any], action: str, **attributes: str) -> None:
        """Send an event to all clients that follow."""
        now = time.time_ns()
        actor = {"ID": entry["Id"], "Attributes": {**entry["Labels"], "image": IMAGE, "name": entry["Names"][0][1:]}}
        actor["Attributes"] |= attributes
        event = {"status": action, "id": entry["Id"], "from": IMAGE, "Type": "container", "Action": action}
        event |= {"Actor": actor, "scope": "local", "time": now // 10**9, "timeNano": now}
        line = json.dumps(event).encode() + b"\n"
        for stream in self.streams:
            stream.write(b"%x\r\n%b\r\n" % (len(line), line))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it closes the connection."""
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                url = urlsplit(request.split(b" ", 2)[1].decode())
                path = "/" + url.path.removeprefix("/v").partition("/")[2] if url.path.startswith("/v1.") else url.path
                if path == "/events":
                    await self._follow(reader, writer)
                    return
                status, body = self._answer(path, parse_qs(url.query))
                head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.streams.add(writer)
        try:
            await reader.read()
        finally:
            self.streams.discard(writer)

    def _answer(self, path: str, query: dict[str, list[str]]) -> tuple[str, bytes]:
        if path == "/version":
            return "200 OK", json.dumps(VERSION).encode()
        if path == "/_ping":
            return "200 OK", b"OK"
        if path == "/containers/json":
            return "200 OK", self._list(json.loads(query.get("filters", ["{}"])[0]))
        return "404 Not Found", b'{"message": "not simulated"}'

    def _list(self, filters: dict[str, list[str]]) -> bytes:
        if not filters:
            self.listed = self.listed or json.dumps(list(self.containers.values())).encode()
            return self.listed
        unknown = set(filters) - {"id", "label", "status"}
        if unknown:
            raise NotImplementedError(f"filters that are not simulated: {unknown}")
        found = list(self.containers.values())
        if "id" in filters:
            # Like the real engine, look up full ids.
            found = [self.containers[one] for one in filters["id"] if one in self.containers]
        for label in filters.get("label", []):
            name, _, value = label.partition("=")
            found = [one for one in found if one["Labels"].get(name) == (value or one["Labels"].get(name))]
        return json.dumps(found).encode()


async def _main(size: int, hosts: int) -> None:
    recorded = json.loads(RECORDED.read_text())["containers"]
    mould = next(one for one in recorded if one["State"] == "running" and one["Ports"])
    engines = [Engine(number + 1, mould) for number in range(hosts)]
    for made in range(size):
        engines[made % hosts].add()
    for engine in engines:
        await asyncio.start_server(engine.serve, address(engine.number), API_PORT)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        word, host, *what = line.decode().split()
        engine = engines[int(host) - 1]
        if word == "start":
            entry = engine.add()
            sent = time.monotonic()
            engine.send_event(entry, "start")
        else:
            entry = engine.containers.pop(what[0])
            engine.listed = b""
            sent = time.monotonic()
            engine.send_event(entry, "kill", signal="15")
            engine.send_event(entry, "die", exitCode="0")
            engine.send_event(entry, "stop")
        port = entry["Ports"][0]["PublicPort"]
        print(json.dumps({"id": entry["Id"], "port": port, "sent": sent}), flush=True)


@dataclass(frozen=True)
class Started:
    """A simulated container that was started.

    Attributes:
        host: the number of the engine.
        id: the full id.
        port: the published port.
        sent: when the event was sent, by the monotonic clock.
    """

    host: int
    id: str
    port: int
    sent: float


class Simulated:
    """Controls the process of the simulated engines."""

    def __init__(self, process: subprocess.Popen[str], hosts: int) -> None:
        self.process = process
        self.hosts = hosts

    @property
    def docker_hosts(self) -> list[dict[str, Any]]:
        """The engines as Docker hosts of a configuration."""
        numbers = range(1, self.hosts + 1)
        return [{"name": f"host{number}", "host": address(number), "port": API_PORT} for number in numbers]

    def start(self, host: int) -> Started:
        """Start a container: it is listed first, and then the event is sent."""
        return Started(host, **self._send(f"start {host}"))

    def stop(self, one: Started) -> None:
        """Stop a container."""
        self._send(f"stop {one.host} {one.id}")

    def _send(self, line: str) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def simulated_docker(size: int, hosts: int) -> Iterator[Simulated]:
    """Serve simulated engines during the block."""
    command = [sys.executable, "-m", "bench.simulated_docker", str(size), str(hosts)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            if process.stdout.readline() != "ready\n":
                raise ChildProcessError("the simulated Docker API does not start")
            yield Simulated(process, hosts)
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
