"""The measured application. It is small, so it starts quickly.

It answers ``GET /`` and ``POST /`` at once, and ``/slow`` after SLOW seconds (2), with the name of the container.
START_DELAY: seconds before it listens. FAIL_SECONDS: how many seconds it answers 500 from then on.
ON_TERM: what it does on SIGTERM:

- ``finish``: stops listening, answers on open connections until they have been idle for 0.2 s, and exits.
- ``close``: the same, but closes idle connections at once, as Node's ``server.close()`` does.
- ``exit``: exits at once, even during requests.
- ``ignore``: goes on.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import socket
import sys
import time

PORT = 8000
QUIET = 0.2
NAME = os.uname().nodename
ON_TERM = os.environ.get("ON_TERM", "finish")
SLOW = float(os.environ.get("SLOW", "2"))
START_DELAY = float(os.environ.get("START_DELAY", "0"))
FAIL_SECONDS = float(os.environ.get("FAIL_SECONDS", "0"))


class Connection:
    """One client: what it has sent, whether a request is open, and whether it is the last one."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.received = b""
        self.busy = False
        self.last = False
        self.heard = time.monotonic()

    def request(self) -> str | None:
        """Take a complete request off the received bytes, and return its path; None if there is none."""
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
        if len(rest) < length:
            return None
        self.received = rest[length:]
        self.last = "connection: close" in lines
        return lines[0].split(" ")[1]


class Server:
    """An HTTP server in one thread."""

    def __init__(self) -> None:
        self.connections: dict[int, Connection] = {}
        self.due: list[tuple[float, int, Connection]] = []
        self.stopping = False
        self.listener = socket.create_server(("", PORT), backlog=1024)
        self.listener.setblocking(False)
        self.ready_at = time.monotonic() + FAIL_SECONDS
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)

    def serve(self, signals: socket.socket) -> None:
        """Answer requests until SIGTERM, and finish as ON_TERM says."""
        self.poll.register(signals, select.EPOLLIN)
        while not (self.stopping and not self.connections):
            for descriptor, _ in self.poll.poll(self._wait()):
                if descriptor == signals.fileno():
                    signals.recv(64)
                    self.stop()
                elif descriptor in self.connections:
                    self.read(self.connections[descriptor])
                elif not self.stopping:
                    self.accept()
            while self.due and self.due[0][0] <= time.monotonic():
                self.answer(heapq.heappop(self.due)[2])
            if self.stopping:
                quiet = time.monotonic() - QUIET
                for connection in [one for one in self.connections.values() if not one.busy and one.heard < quiet]:
                    self.close(connection)

    def _wait(self) -> float:
        until = self.due[0][0] - time.monotonic() if self.due else 60.0
        return max(0.0, min(until, QUIET / 4) if self.stopping else until)

    def accept(self) -> None:
        """Accept every waiting connection."""
        while True:
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[client.fileno()] = Connection(client)
            self.poll.register(client, select.EPOLLIN)

    def read(self, connection: Connection) -> None:
        """Read from a client, and begin its request once that is complete."""
        try:
            received = connection.client.recv(65536)
        except OSError:
            received = b""
        if not received:
            self.close(connection)
            return
        connection.heard = time.monotonic()
        connection.received += received
        self.next_request(connection)

    def next_request(self, connection: Connection) -> None:
        """Begin the next request of a client, if there is a complete one."""
        path = None if connection.busy else connection.request()
        if path is None:
            return
        connection.busy = True
        if path.startswith("/slow"):
            heapq.heappush(self.due, (time.monotonic() + SLOW, id(connection), connection))
        else:
            self.answer(connection)

    def answer(self, connection: Connection) -> None:
        """Answer the request of a client."""
        if connection.client.fileno() < 0:
            return
        status = "500 Internal Server Error" if time.monotonic() < self.ready_at else "200 OK"
        body = f"Hello from {NAME}\n"
        last = self.stopping or connection.last
        closing = "Connection: close\r\n" if last else ""
        text = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n{closing}\r\n{body}"
        connection.busy = False
        connection.heard = time.monotonic()
        try:
            connection.client.sendall(text.encode())
        except OSError:
            self.close(connection)
            return
        if last:
            self.close(connection)
        else:
            self.next_request(connection)

    def close(self, connection: Connection) -> None:
        """Close the connection of a client."""
        del self.connections[connection.client.fileno()]
        connection.client.close()

    def stop(self) -> None:
        """Do what ON_TERM says."""
        if ON_TERM == "exit":
            os._exit(0)
        if ON_TERM == "ignore" or self.stopping:
            return
        self.accept()
        self.stopping = True
        self.listener.close()
        for connection in list(self.connections.values()):
            self.read_waiting(connection)

    def read_waiting(self, connection: Connection) -> None:
        """Read what has arrived, and close an idle connection if ON_TERM is ``close``."""
        try:
            connection.received += connection.client.recv(65536)
        except BlockingIOError:
            pass
        except OSError:
            self.close(connection)
            return
        self.next_request(connection)
        if ON_TERM == "close" and connection.client.fileno() in self.connections and not connection.busy:
            self.close(connection)


def health() -> int:
    """Run the HEALTHCHECK: return 0 if the server answers 200."""
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return 0 if b" 200 " in connection.recv(4096) else 1
    except OSError:
        return 1


def main() -> int:
    """Listen, and answer until SIGTERM."""
    signals, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno())
    # PID 1 has no default action for signals, and the wake-up needs a handler.
    signal.signal(signal.SIGTERM, lambda *_: None)
    time.sleep(START_DELAY)
    Server().serve(signals)
    return 0


if __name__ == "__main__":
    sys.exit(health() if sys.argv[1:] == ["health"] else main())
