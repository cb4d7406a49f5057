"""A small real web server that stands for an application in a container."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """What it answers. Tests may change the status at any time.

    Attributes:
        port: its port on the loopback.
        status: the HTTP status of its answers, also to health checks.
        served: how many requests it has answered, without health checks.
        held: while it is clear, only health checks are answered.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.served = 0
        self.held = threading.Event()
        self.held.set()


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Serve during the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path != "/health":
                web.served += 1
                web.held.wait(20)
            self.send_response(web.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

        def handle_error(self, *_: object) -> None:
            """Ignore errors: HAProxy cuts the connection of a check early."""

    with Server(("127.0.0.1", 0), Handler) as server:
        web = WebServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            web.held.set()
            server.shutdown()
            thread.join(10)
