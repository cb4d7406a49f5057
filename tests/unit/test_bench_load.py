"""The load of the measurements counts every failure, and keeps to its schedule."""

from __future__ import annotations

import itertools
import re
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from waiting import until

from bench.load import load

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

Answer = Callable[[socket.socket], bool]
"""Answers a request, and returns whether the connection stays open."""


def good(client: socket.socket) -> bool:
    """Send a complete answer."""
    client.sendall(GOOD)
    return True


def refused(client: socket.socket) -> bool:
    """Send a complete answer with an error status."""
    client.sendall(REFUSED)
    return True


def half(client: socket.socket) -> bool:
    """Send a part of an answer."""
    client.sendall(GOOD[:-1])
    return False


def nothing(_: socket.socket) -> bool:
    """Send nothing."""
    return False


def reset(client: socket.socket) -> bool:
    """Reset the connection."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


@contextmanager
def server(next_answer: Callable[[], Answer]) -> Iterator[tuple[int, Counter[str]]]:
    """Answer each request in the next way. Yields the port, and how often each way was used."""
    done: Counter[str] = Counter()
    lock = threading.Lock()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received = b""
            stays = True
            while stays and (chunk := self.request.recv(65536)):
                received += chunk
                if not whole(received):
                    continue
                received = b""
                with lock:
                    answer = next_answer()
                    done[answer.__name__] += 1
                stays = answer(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 256

        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            # Without a shutdown first, so that a reset is sent.
            self.close_request(request)

    with Server(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield listening.server_address[1], done
        finally:
            listening.shutdown()
            thread.join(10)


def whole(received: bytes) -> bool:
    """Whether a request is complete."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return bool(end) and len(body) >= int(length[1] if length else 0)


def test_each_failure_is_counted_once_and_no_request_is_repeated() -> None:
    ways = itertools.cycle([good, refused, good, half, good, nothing, good, reset])
    with server(ways.__next__) as (port, done):
        with load(200, port) as booked:
            until(lambda: done.total() >= 200)
        assert booked[0].requests == done.total()
    kinds = Counter(failure["kind"].partition(": ")[2] for failure in booked[0].failures)
    assert kinds["status 503"] == done["refused"]
    assert kinds["end of file"] == done["half"] + done["nothing"]
    assert kinds["reset"] == done["reset"]
    assert kinds.total() == done.total() - done["good"]


def test_each_refused_connection_is_a_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with load(200, unused.getsockname()[1]) as booked:
            until(lambda: time.monotonic() > began + 0.2)
    assert booked[0].requests > 0
    assert len(booked[0].failures) == booked[0].requests


def test_slow_answers_delay_no_other_request() -> None:
    ended = threading.Event()

    def late(client: socket.socket) -> bool:
        ended.wait(10)
        return good(client)

    with server(lambda: late) as (port, done), load(100, port) as booked:
        # The schedule goes on without any answer.
        until(lambda: done.total() >= 50)
        ended.set()
    assert not booked[0].failures
    assert booked[0].quantile(1.0) > 300


def test_latencies_leave_out_slow_requests() -> None:
    with server(lambda: good) as (port, done), load(400, port) as booked:
        until(lambda: done.total() >= 400)
    assert not booked[0].failures
    assert 0.9 < len(booked[0].latencies) / booked[0].requests < 1
