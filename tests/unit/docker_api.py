"""A simulated Docker API on a real socket, to give the answers that no real engine gives on demand."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = {"ApiVersion": "1.41", "Version": "20.10.24"}


class SimulatedDocker:
    """What the API answers: change ``containers``, ``status`` or ``fault`` at any time.

    Attributes:
        containers: the list.
        status: of the list's answer.
        fault: None, or one of truncated, endless, slow, hung, not-json, redirect.
        images: what the containers were made from, by id: told to who asks for one of them.
        hesitation: seconds before that is told.
        port: where it listens on the loopback.
        requests: paths that were asked for.
    """

    def __init__(self) -> None:
        self.containers: Any = []
        self.status = 200
        self.fault: str | None = None
        self.images: dict[str, str] = {}
        self.hesitation = 0.0
        self.port = 0
        self.requests: list[str] = []
        self.over = threading.Event()


@contextmanager
def simulated_docker() -> Iterator[SimulatedDocker]:
    """Serve a simulated API for as long as the block lasts."""
    api = SimulatedDocker()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.requests.append(self.path)
            if self.path == "/version":
                self._answer(200, json.dumps(VERSION).encode())
            elif self.path.split("/")[-2] in api.images:
                if not api.over.wait(api.hesitation):
                    self._answer(200, json.dumps({"Config": {"Image": api.images[self.path.split("/")[-2]]}}).encode())
            elif api.fault:
                getattr(self, f"_{api.fault.replace('-', '_')}")()
            else:
                self._answer(api.status, json.dumps(api.containers).encode())

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def _truncated(self) -> None:
            self._answer(200, b'[{"Id": "aaa', length=1000)
            self.close_connection = True

        def _not_json(self) -> None:
            self._answer(200, b"<html>")

        def _redirect(self) -> None:
            self.send_response(302)
            self.send_header("Location", "/version")
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

    socketserver.TCPServer.allow_reuse_address = True
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        api.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            api.over.set()
            server.shutdown()
            thread.join(10)
