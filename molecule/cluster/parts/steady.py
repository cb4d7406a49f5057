"""A steady client, run on the client host: steady.py FOLDER URL...

It asks each URL RATE times a second until FOLDER/end is there, whatever becomes of the requests before. One request in
two is on a new connection, the others on connections that are kept; one in four is a POST, in either kind.

- **served**: a complete answer 200 within PATIENCE seconds. What it costs is in the figures, not in the outcome.
- **moved**: the balancer took no connection, nothing was sent, and another balancer served. A client that knows both
  addresses (two A records, a virtual IP) does the same.
- **lost**: everything else: any other status, a connection cut once the request was on it, no answer in time. No
  request is sent twice.

A kept connection that the balancer has closed while nothing was on it is not used again: that loses nothing.

FOLDER/seen.jsonl gets a line for each INTERVAL ({"t", "seconds", "served": {balancer: {server: count}}, "moved",
"lost", "posts_lost", "slowest"}), one for each request that was not served ({"t", "id", "outcome", "balancer",
"method", "kept", "error", "after"}), and at the end {"end", "asked", "served", "moved", "lost", "open"}; t in seconds
since 1970.
"""

import http.client
import json
import select
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

RATE = 20
INTERVAL = 0.25
PATIENCE = 20.0
CONNECT = 5.0
LONGEST = 600.0
BODY = b"steady"
SERVED_BY = "X-Served-By"


class NotTaken(Exception):
    """The balancer took no connection: nothing was sent."""


class Balancer:
    """One balancer, and the kept connections to it that nothing is on."""

    def __init__(self, address: str, path: str) -> None:
        self.address, self.path = address, path
        self.idle: list[http.client.HTTPConnection] = []

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        connection = http.client.HTTPConnection(self.address, timeout=CONNECT)
        try:
            connection.connect()
        except OSError as error:
            raise NotTaken(repr(error)) from None
        connection.sock.settimeout(PATIENCE)
        return connection

    def kept(self) -> http.client.HTTPConnection:
        """A connection on which nothing is, and which the balancer has not closed meanwhile; a new one without."""
        while self.idle:
            connection = self.idle.pop()
            if connection.sock and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        return self.connect()


class Client:
    """Asks all balancers, and books what happens."""

    def __init__(self, balancers: list[Balancer], seen: Path) -> None:
        self.balancers = balancers
        self.file = seen.open("w", buffering=1)
        self.lock = threading.Lock()
        self.asked, self.moved, self.lost, self.posts_lost, self.slowest = 0, 0, 0, 0, 0.0
        self.totals: Counter[str] = Counter()
        self.served: dict[str, Counter[str]] = {}
        self.under_way = 0

    def ask(self, number: int, balancer: Balancer) -> None:
        """One request; the second of two on a kept connection, one of four a POST."""
        kept, method = number % 2 == 1, "POST" if number % 8 in (2, 5) else "GET"
        began, wall = time.monotonic(), time.time()
        outcome, served, error, by = "served", balancer, "", ""
        try:
            try:
                connection = balancer.kept() if kept else balancer.connect()
            except NotTaken as not_taken:
                outcome, error = "moved", str(not_taken)
                served = next(one for one in self.balancers if one is not balancer)
                connection = served.connect()
            by = self.on(connection, served, method, number, kept)
        except (NotTaken, OSError, http.client.HTTPException, ValueError) as problem:
            outcome, error = "lost", repr(problem)
        after = time.monotonic() - began
        with self.lock:
            self.under_way -= 1
            self.totals[outcome] += 1
            self.slowest = max(self.slowest, after)
            if outcome == "lost":
                self.lost += 1
                self.posts_lost += method == "POST"
            else:
                self.moved += outcome == "moved"
                self.served.setdefault(served.address, Counter())[by] += 1
            if outcome != "served":
                self.write(
                    t=wall, id=number, outcome=outcome, balancer=balancer.address, method=method, kept=kept,
                    error=error, after=round(after, 3),
                )  # fmt: skip

    def on(
        self, connection: http.client.HTTPConnection, balancer: Balancer, method: str, number: int, kept: bool
    ) -> str:
        """One request on a connection; who served it. Raises ValueError for an answer that is not the service's."""
        body = BODY if method == "POST" else None
        try:
            connection.request(method, balancer.path, body, {"X-Request-ID": str(number)})
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status != 200 or not text.startswith("Hello from "):
                raise ValueError(f"{answer.status} {text[:60]}")
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()
            raise
        if kept and connection.sock and not answer.will_close:
            with self.lock:
                balancer.idle.append(connection)
        else:
            connection.close()
        return answer.headers[SERVED_BY] or "?"

    def write(self, **line: object) -> None:
        """A line of the file."""
        self.file.write(json.dumps(line) + "\n")

    def book(self, began: float, seconds: float) -> None:
        """The line of an interval."""
        with self.lock:
            self.write(
                t=began, seconds=seconds, served=self.served, moved=self.moved, lost=self.lost,
                posts_lost=self.posts_lost, slowest=round(self.slowest, 4),
            )  # fmt: skip
            self.served, self.moved, self.lost, self.posts_lost, self.slowest = {}, 0, 0, 0, 0.0

    def run(self, end: Path) -> None:
        """Ask until the end, then wait for what is under way."""
        began = booked = time.monotonic()
        while not end.exists() and time.monotonic() < began + LONGEST:
            for balancer in self.balancers:
                self.begin(balancer)
            if time.monotonic() >= booked + INTERVAL:
                booked = self.booked(booked)
            # From the beginning, so that a wait that took longer is made up for.
            time.sleep(max(0.0, began + self.asked / len(self.balancers) / RATE - time.monotonic()))
        deadline = time.monotonic() + PATIENCE + CONNECT
        while self.under_way and time.monotonic() < deadline:
            time.sleep(INTERVAL / 10)
        self.booked(booked)
        with self.lock:
            self.write(end=time.time(), asked=self.asked, open=self.under_way, **self.totals)

    def begin(self, balancer: Balancer) -> None:
        """One more request, whatever became of those before."""
        with self.lock:
            self.under_way += 1
        self.asked += 1
        # The balancers take turns, so each of them gets every kind.
        number = self.asked // len(self.balancers)
        threading.Thread(target=self.ask, args=(number, balancer), daemon=True).start()

    def booked(self, before: float) -> float:
        """End an interval; when the next one began."""
        now = time.monotonic()
        self.book(time.time() - (now - before), now - before)
        return now


def main() -> None:
    """Do what the command line says."""
    folder = Path(sys.argv[1])
    parts = [urlsplit(url) for url in sys.argv[2:]]
    Client([Balancer(one.netloc, one.path) for one in parts], folder / "seen.jsonl").run(folder / "end")


if __name__ == "__main__":
    main()
