"""Measure when something answers for the first time."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor

from .containers import HOST
from .waiting import TooLate

PAUSE = 0.001
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{{}}\r\n"
CLOSE = "Connection: close\r\n"


def ask(address: tuple[str, int], headers: str = "", times: int = 1) -> str:
    """Send requests at once on a new connection, and return everything that is received."""
    answer = b""
    requests = REQUEST.format(headers) * (times - 1) + REQUEST.format(CLOSE + headers)
    try:
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(requests.encode())
            while chunk := connection.recv(4096):
                answer += chunk
    except OSError:
        pass
    return answer.decode(errors="replace")


def answers(address: tuple[str, int], text: str = "", headers: str = "", times: int = 1) -> bool:
    """Whether the answer is 200, and one of the answers contains a text."""
    answer = ask(address, headers, times)
    return answer.startswith("HTTP/1.1 200") and text in answer


def first_answer(
    address: tuple[str, int], text: str = "", times: int = 1, *, seconds: float = 60.0, headers: str = ""
) -> float:
    """Send requests until an answer is 200 and has a text; returns the monotonic time. Raises TooLate."""
    deadline = time.monotonic() + seconds
    while not answers(address, text, headers, times):
        if time.monotonic() > deadline:
            raise TooLate(f"{address[0]}:{address[1]} did not answer with {text!r} within {seconds:g} s")
        time.sleep(PAUSE)
    return time.monotonic()


def first_answers(*asked: tuple[tuple[str, int], str, int]) -> list[Future[float]]:
    """Do the same for several at a time, and return their futures."""
    pool = ThreadPoolExecutor(len(asked))
    answered = [pool.submit(first_answer, *one) for one in asked]
    pool.shutdown(wait=False)
    return answered
