"""When something answers for the first time."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor

from .containers import HOST
from .waiting import TooLate

PAUSE = 0.001
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{{}}\r\n"


def ask(address: tuple[str, int], headers: str = "") -> str:
    """One request on a new connection: the whole answer, or what came of it."""
    answer = b""
    try:
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(REQUEST.format(headers).encode())
            while chunk := connection.recv(4096):
                answer += chunk
    except OSError:
        pass
    return answer.decode(errors="replace")


def answers(address: tuple[str, int], text: str = "", headers: str = "") -> bool:
    """Whether it answers with 200 and a text."""
    answer = ask(address, headers)
    return answer.startswith("HTTP/1.1 200") and text in answer


def first_answer(address: tuple[str, int], text: str = "", *, seconds: float = 60.0, headers: str = "") -> float:
    """Ask until the answer is 200 with a text: the time on the monotonic clock; raises TooLate."""
    deadline = time.monotonic() + seconds
    while not answers(address, text, headers):
        if time.monotonic() > deadline:
            raise TooLate(f"{address[0]}:{address[1]} did not answer with {text!r} within {seconds:g} s")
        time.sleep(PAUSE)
    return time.monotonic()


def first_answers(*asked: tuple[tuple[str, int], str]) -> list[Future[float]]:
    """The same for several at a time; the results are awaited by the caller."""
    pool = ThreadPoolExecutor(len(asked))
    answered = [pool.submit(first_answer, address, text) for address, text in asked]
    pool.shutdown(wait=False)
    return answered
