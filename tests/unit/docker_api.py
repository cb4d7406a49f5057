"""A simulated Docker API on a real socket, for answers and events that no real engine gives on demand."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

VERSION = {"ApiVersion": "1.41", "Version": "20.10.24"}


class SimulatedDocker:
    """What the API answers. Tests may change the attributes at any time.

    Attributes:
        containers: the list of containers.
        status: the HTTP status of the list.
        fault: None, or one of truncated, endless, slow, hung, not-json, redirect, silent-end.
        images: the image references of containers by id, for requests for one container.
        hesitation: seconds until such a request is answered.
        port: its port on the loopback.
        requests: the requested paths.
        streams: the clients that follow its events.
        listing: called during a list, which does not show changes made by the call.
        tls: the TLS context of new connections; None for plain text.
    """

    def __init__(self) -> None:
        self.containers: Any = []
        self.streams: list[queue.SimpleQueue[bytes | None]] = []
        self.listing: Callable[[], None] = lambda: None
        self.status = 200
        self.fault: str | None = None
        self.images: dict[str, str] = {}
        self.hesitation = 0.0
        self.port = 0
        self.requests: list[str] = []
        self.tls: ssl.SSLContext | None = None
        self.over = threading.Event()

    def event(self, container: str, action: str, **attributes: str) -> None:
        """Send the event of a container to all clients that follow."""
        kind = "network" if action in ("connect", "disconnect") else "container"
        if kind == "network":
            attributes["container"] = container
        actor = {"ID": container, "Attributes": attributes}
        self.say(json.dumps({"Type": kind, "Action": action, "Actor": actor}).encode() + b"\n")

    def say(self, line: bytes | None) -> None:
        """Send bytes to all clients that follow; None ends the streams, and no bytes cut them."""
        for stream in list(self.streams):
            stream.put(line)

    def listed(self, query: str) -> Any:
        """Return the list, or the containers that the query filters by id."""
        containers = self.containers
        self.listing()
        filters = json.loads(parse_qs(query).get("filters", ["{}"])[0])
        if "id" not in filters:
            return containers
        return [one for one in containers if one["Id"] in filters["id"]]


@contextmanager
def simulated_docker(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[SimulatedDocker]:
    """Serve a simulated API during the block, on any port or on this one."""
    api = SimulatedDocker()
    api.tls = tls

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            if api.tls:
                self.request = api.tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def do_GET(self) -> None:
            if api.over.is_set():
                self.close_connection = True
                return
            api.requests.append(self.path)
            address = urlsplit(self.path)
            if self.path == "/version" and api.fault != "hung":
                self._answer(200, json.dumps(VERSION).encode())
            elif self.path.split("/")[-2] in api.images:
                if not api.over.wait(api.hesitation):
                    self._answer(200, json.dumps({"Config": {"Image": api.images[self.path.split("/")[-2]]}}).encode())
            elif api.fault:
                getattr(self, f"_{api.fault.replace('-', '_')}")()
            elif address.path.endswith("/events"):
                self._events()
            else:
                self._answer(api.status, json.dumps(api.listed(address.query)).encode())

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def _events(self) -> None:
            self.send_response(api.status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            stream: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
            api.streams.append(stream)
            try:
                while line := stream.get():
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                if line is None:
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
            except OSError:
                return
            finally:
                api.streams.remove(stream)
                self.close_connection = True

        def _truncated(self) -> None:
            self._answer(200, b'[{"Id": "aaa', length=1000)
            self.close_connection = True

        def _silent_end(self) -> None:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()

        def _not_json(self) -> None:
            self._answer(200, b"<html>")

        def _redirect(self) -> None:
            self.send_response(302)
            self.send_header("Location", "/version")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _hung(self) -> None:
            api.over.wait(60)

        def _slow(self) -> None:
            self._answer(200, b"[", length=100_000)
            self._pour(b" ", 0.05)

        def _endless(self) -> None:
            self._answer(200, b"[", length=1 << 40)
            self._pour(b" " * 1_000_000, 0)

        def _pour(self, chunk: bytes, pause: float) -> None:
            deadline = time.monotonic() + 60
            try:
                while not api.over.is_set() and time.monotonic() < deadline:
                    self.wfile.write(chunk)
                    self.wfile.flush()
                    time.sleep(pause)
            except OSError:
                return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *arguments: Any) -> None:
            # Some tests refuse clients, and some clients close the connection early.
            if not isinstance(sys.exception(), OSError):
                super().handle_error(*arguments)

    with Server(("127.0.0.1", port), Handler) as server:
        api.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            api.over.set()
            api.say(None)
            server.shutdown()
            thread.join(10)
