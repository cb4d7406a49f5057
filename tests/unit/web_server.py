"""A real little web server, as an application in a container is one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """What it answers: change the status at any time.

    Attributes:
        port: where it listens on the loopback.
        status: of its answers, those to health checks too.
        served: requests so far, without health checks.
        held: while it is clear, no request but a health check is answered.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.served = 0
        self.held = threading.Event()
        self.held.set()


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Serve for as long as the block lasts."""

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
            """HAProxy cuts a check's connection as soon as it knows."""

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
