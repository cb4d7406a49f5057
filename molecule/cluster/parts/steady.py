"""A steady client. Runs on the client host: steady.py FOLDER URL...

It sends RATE requests a second to each URL until FOLDER/end exists, and never waits for earlier requests. Half of the
requests use new connections, the others kept ones; of each half, one request in four is a POST.

- **served**: a complete answer 200 within PATIENCE seconds, however slow.
- **moved**: the balancer accepted no connection, so nothing was sent, and the other balancer served the request. A
  client that knows both addresses (two A records, a virtual IP) does the same.
- **lost**: everything else: another status, a connection that broke after the request was sent, no answer in time. No
  request is sent twice.

A kept connection that the balancer has closed between two requests is not used again; this loses nothing.

FOLDER/seen.jsonl gets a line for each INTERVAL ({"t", "seconds", "served": {balancer: {server: count}}, "moved",
"lost", "posts_lost", "slowest"}), one for each request that was not served ({"t", "id", "outcome", "balancer",
"method", "kept", "error", "after"}), and at the end {"end", "asked", "served", "moved", "lost", "open"}; t is in
seconds since 1970.
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


class NotAccepted(Exception):
    """The balancer accepted no connection, so nothing was sent."""


class Balancer:
    """One balancer, and the idle kept connections to it."""

    def __init__(self, address: str, path: str) -> None:
        self.address, self.path = address, path
        self.idle: list[http.client.HTTPConnection] = []

    def connect(self) -> http.client.HTTPConnection:
        """Open a new connection."""
        connection = http.client.HTTPConnection(self.address, timeout=CONNECT)
        try:
            connection.connect()
        except OSError as error:
            raise NotAccepted(repr(error)) from None
        connection.sock.settimeout(PATIENCE)
        return connection

    def kept(self) -> http.client.HTTPConnection:
        """Return an idle connection that the balancer has not closed, or else a new one."""
        while self.idle:
            connection = self.idle.pop()
            if connection.sock and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        return self.connect()


class Client:
    """Sends requests to all balancers, and counts what happens."""

    def __init__(self, balancers: list[Balancer], seen: Path) -> None:
        self.balancers = balancers
        self.file = seen.open("w", buffering=1)
        self.lock = threading.Lock()
        self.asked, self.moved, self.lost, self.posts_lost, self.slowest = 0, 0, 0, 0, 0.0
        self.totals: Counter[str] = Counter()
        self.served: dict[str, Counter[str]] = {}
        self.open = 0

    def ask(self, number: int, balancer: Balancer) -> None:
        """Send one request. Every second one uses a kept connection; one in four is a POST."""
        kept, method = number % 2 == 1, "POST" if number % 8 in (2, 5) else "GET"
        began, wall = time.monotonic(), time.time()
        outcome, served, error, by = "served", balancer, "", ""
        try:
            try:
                connection = balancer.kept() if kept else balancer.connect()
            except NotAccepted as not_accepted:
                outcome, error = "moved", str(not_accepted)
                served = next(one for one in self.balancers if one is not balancer)
                connection = served.connect()
            by = self.on(connection, served, method, number, kept)
        except (NotAccepted, OSError, http.client.HTTPException, ValueError) as problem:
            outcome, error = "lost", repr(problem)
        after = time.monotonic() - began
        with self.lock:
            self.open -= 1
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
        """Send a request on a connection, and return which server answered. Raises ValueError for a wrong answer."""
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
        """Write a line of the file."""
        self.file.write(json.dumps(line) + "\n")

    def count(self, began: float, seconds: float) -> None:
        """Write the line of an interval."""
        with self.lock:
            self.write(
                t=began, seconds=seconds, served=self.served, moved=self.moved, lost=self.lost,
                posts_lost=self.posts_lost, slowest=round(self.slowest, 4),
            )  # fmt: skip
            self.served, self.moved, self.lost, self.posts_lost, self.slowest = {}, 0, 0, 0, 0.0

    def run(self, end: Path) -> None:
        """Send requests until the end, then wait for open ones."""
        began = counted = time.monotonic()
        while not end.exists() and time.monotonic() < began + LONGEST:
            for balancer in self.balancers:
                self.begin(balancer)
            if time.monotonic() >= counted + INTERVAL:
                counted = self.counted(counted)
            # Counted from the beginning, to catch up after a longer wait.
            time.sleep(max(0.0, began + self.asked / len(self.balancers) / RATE - time.monotonic()))
        deadline = time.monotonic() + PATIENCE + CONNECT
        while self.open and time.monotonic() < deadline:
            time.sleep(INTERVAL / 10)
        self.counted(counted)
        with self.lock:
            self.write(end=time.time(), asked=self.asked, open=self.open, **self.totals)

    def begin(self, balancer: Balancer) -> None:
        """Begin another request, whether or not earlier ones are finished."""
        with self.lock:
            self.open += 1
        self.asked += 1
        # The balancers take turns, so each of them gets every kind of request.
        number = self.asked // len(self.balancers)
        threading.Thread(target=self.ask, args=(number, balancer), daemon=True).start()

    def counted(self, before: float) -> float:
        """End an interval, and return when the next one begins."""
        now = time.monotonic()
        self.count(time.time() - (now - before), now - before)
        return now


def main() -> None:
    """Run the command line."""
    folder = Path(sys.argv[1])
    parts = [urlsplit(url) for url in sys.argv[2:]]
    Client([Balancer(one.netloc, one.path) for one in parts], folder / "seen.jsonl").run(folder / "end")


if __name__ == "__main__":
    main()
