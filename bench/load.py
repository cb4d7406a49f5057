"""A steady load on the balancer, from a separate process: ``python -m bench.load``.

Requests are sent by a schedule, whether or not earlier ones are finished (an open loop), and are never repeated. Half
use new connections and half kept ones, a third are POST, and one in fifty takes two seconds. Everything but a complete
answer with status 200 is a failure. The latency counts from the scheduled time.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .containers import BALANCER_PORT, HOST, LOOPBACK

RATE = 500
LONGEST = 7200.0
TIMEOUT = 15.0
"""Seconds until a request without an answer has failed."""
KEPT_SECONDS = 5.0
"""How long an idle connection is kept, which is shorter than the balancer keeps it."""
BODY = b"x" * 64
KEPT, POST, SLOW = 1 / 2, 1 / 3, 1 / 50


@dataclass(slots=True)
class Request:
    """One request of the schedule.

    Attributes:
        due: when to send it, by the monotonic clock.
        method: GET or POST.
        slow: whether the application takes two seconds to answer.
        kept: whether it may use a kept connection.
        reused: whether it did use one.
    """

    due: float
    method: str
    slow: bool
    kept: bool
    reused: bool = False

    def text(self) -> bytes:
        """Return what is sent."""
        path = "/slow" if self.slow else "/"
        length = f"Content-Length: {len(BODY)}\r\n" if self.method == "POST" else ""
        close = "" if self.kept else "Connection: close\r\n"
        head = f"{self.method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{length}{close}\r\n".encode()
        return head + BODY if self.method == "POST" else head


@dataclass
class Client:
    """Sends requests by the schedule, and counts what happens to them."""

    rate: int
    port: int
    idle: deque[Connection] = field(default_factory=deque)
    connecting: set[asyncio.Task[None]] = field(default_factory=set)
    latencies: list[float] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    finished: int = 0
    latest: float = 0.0

    async def run(self, ended: asyncio.Event) -> None:
        """Send requests until ``ended`` is set, then wait for open ones."""
        chance = random.Random(1)
        began = time.monotonic()
        while not ended.is_set() and time.monotonic() - began < LONGEST:
            due = began + self.requests / self.rate
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.latest = max(self.latest, time.monotonic() - due)
            method = "POST" if chance.random() < POST else "GET"
            self.send(Request(due, method, chance.random() < SLOW, chance.random() < KEPT))
        end = time.monotonic() + TIMEOUT + 1
        while self.finished < self.requests and time.monotonic() < end:
            await asyncio.sleep(0.05)

    def send(self, request: Request) -> None:
        """Send a request on an idle connection, or on a new one."""
        self.requests += 1
        while request.kept and self.idle:
            connection = self.idle.popleft()
            if connection.usable:
                request.reused = True
                connection.send(request)
                return
        # The event loop keeps only weak references to tasks.
        task = asyncio.create_task(self.connect(request))
        self.connecting.add(task)
        task.add_done_callback(self.connecting.discard)

    async def connect(self, request: Request) -> None:
        """Send a request on a new connection."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TIMEOUT):
                _, connection = await loop.create_connection(lambda: Connection(self), LOOPBACK, self.port)
        except TimeoutError:
            self.failed(request, "no connection in time")
        except OSError as error:
            self.failed(request, f"no connection: {error.strerror}")
        else:
            connection.send(request)

    def answered(self, request: Request) -> None:
        """Count an answer."""
        self.finished += 1
        if not request.slow:
            self.latencies.append(time.monotonic() - request.due)

    def failed(self, request: Request, kind: str) -> None:
        """Count a failure."""
        self.finished += 1
        what = (
            f"{'slow ' if request.slow else ''}{request.method} on a {'kept' if request.reused else 'new'} connection"
        )
        self.failures.append({"at": time.monotonic(), "kind": f"{what}: {kind}", "method": request.method})

    def result(self) -> dict[str, Any]:
        """Return everything that was counted."""
        for _ in range(self.requests - self.finished):
            self.failures.append({"at": time.monotonic(), "kind": "?: never finished", "method": "?"})
        return {
            "requests": self.requests,
            "failures": self.failures,
            "latencies": [round(latency, 6) for latency in self.latencies],
            "behind": self.latest,
        }


class Connection(asyncio.Protocol):
    """A connection to the balancer that has one request at a time."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.request: Request | None = None
        self.received = b""
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether the connection is open, as far as is known here."""
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the new connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: Request) -> None:
        """Send a request, and start its time-out."""
        self.request = request
        if self.transport is None or self.transport.is_closing():
            self._fail("end of file")
            return
        self._set_timer(TIMEOUT)
        self.transport.write(request.text())

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or self.request is None:
            return
        lines = head.lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        if len(body) < int(headers.get(b"content-length", b"0")):
            return
        request, self.request, self.received = self.request, None, b""
        status = lines[0].split(b" ")[1].decode()
        if status == "200":
            self.client.answered(request)
        else:
            self.client.failed(request, f"status {status}")
        if request.kept and headers.get(b"connection") != b"close":
            self._set_timer(KEPT_SECONDS)
            self.client.idle.append(self)
        else:
            self._close()

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the connection is closed."""
        self._fail("reset" if error else "end of file")

    def _set_timer(self, seconds: float) -> None:
        if self.timer:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        self._fail("no answer in time")
        self._close()

    def _fail(self, kind: str) -> None:
        request, self.request = self.request, None
        if request:
            self.client.failed(request, kind)
        self._close()

    def _close(self) -> None:
        if self.timer:
            self.timer.cancel()
        if self.transport:
            self.transport.close()


@dataclass(frozen=True)
class Booked:
    """The results of a load.

    Attributes:
        requests: how many requests were sent.
        failures: each with its monotonic time (``at``), its ``method``, and its ``kind`` in words.
        latencies: in seconds, of all but the slow requests.
        behind: how many seconds the client was behind its schedule at worst.
    """

    requests: int
    failures: list[dict[str, Any]]
    latencies: list[float]
    behind: float

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


@contextmanager
def load(rate: int = RATE, port: int = BALANCER_PORT) -> Iterator[list[Booked]]:
    """Run the load during the block. Afterwards, the list has its results."""
    booked: list[Booked] = []
    command = [sys.executable, "-m", "bench.load", str(rate), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield booked
            output, _ = process.communicate(timeout=TIMEOUT * 2)
            booked.append(Booked(**json.loads(output)))
        finally:
            process.kill()


async def _main(rate: int, port: int) -> None:
    """Run the load until standard input ends."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, ended.set)
    client = Client(rate, port)
    print("begun", flush=True)
    await client.run(ended)
    loop.remove_reader(sys.stdin)
    print(json.dumps(client.result()))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
