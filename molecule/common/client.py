"""Send requests to a service from inside a test host, and print the result as JSON.

client.py get URL COUNT             prints the status and text of COUNT answers
client.py stop URL CONTAINER        stops the container while two clients send a request every 20 ms, one on new
                                    connections and one on a kept connection, until the container has not answered
                                    for 5 s; prints requests, failures, seconds
client.py until URL FILE            runs the same clients until FILE exists, and creates FILE.begun once both of them
                                    have got an answer; prints requests, failures
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT = 10.0
INTERVAL = 0.02
QUIET = 5.0
LONGEST = 60.0
LONGEST_UNTIL = 900.0


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    """Send one request; the server decides whether the connection stays open."""
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


class Client(threading.Thread):
    """Sends requests until ``ended`` is set."""

    def __init__(self, address: str, path: str, keep: bool, container: str) -> None:
        super().__init__()
        self.address, self.path, self.keep, self.container = address, path, keep, container
        self.ended = threading.Event()
        self.requests = 0
        self.failures: list[str] = []
        self.seen = 0.0

    def run(self) -> None:
        """Send requests, and never repeat one: each failure counts."""
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
        while not self.ended.wait(INTERVAL):
            self.requests += 1
            try:
                status, text = get(connection, self.path)
                if status != 200:
                    self.failures.append(f"{status} {text[:80]}")
                if self.container in text:
                    self.seen = time.monotonic()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            if not self.keep:
                connection.close()
        connection.close()


def stop(address: str, path: str, container: str) -> dict[str, object]:
    """Stop a container under two steady clients."""
    clients = [Client(address, path, keep, container[:12]) for keep in (False, True)]
    for client in clients:
        client.start()
    deadline = time.monotonic() + LONGEST
    while not all(client.seen for client in clients) and time.monotonic() < deadline:
        time.sleep(INTERVAL)
    began = time.monotonic()
    command = subprocess.Popen(["docker", "stop", container], stdout=subprocess.DEVNULL)
    while time.monotonic() < began + LONGEST:
        time.sleep(INTERVAL)
        seen = max(began, *(client.seen for client in clients))
        if command.poll() is not None and time.monotonic() > seen + QUIET:
            break
    for client in clients:
        client.ended.set()
        client.join()
    return {
        "status": command.wait(LONGEST),
        "requests": sum(client.requests for client in clients),
        "failures": [failure for client in clients for failure in client.failures],
        "answered_before": all(client.seen for client in clients),
        "seconds": max(0.0, *(client.seen - began for client in clients)),
    }


def until(address: str, path: str, file: Path) -> dict[str, object]:
    """Run two steady clients until the file exists."""
    clients = [Client(address, path, keep, "") for keep in (False, True)]
    for client in clients:
        client.start()
    deadline = time.monotonic() + LONGEST_UNTIL
    begun = file.with_name(f"{file.name}.begun")
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(INTERVAL)
        if all(client.seen for client in clients):
            begun.touch()
    for client in clients:
        client.ended.set()
        client.join()
    return {
        "requests": sum(client.requests for client in clients),
        "failures": [failure for client in clients for failure in client.failures],
        "answered": all(client.seen for client in clients),
    }


def main() -> None:
    """Run the command line."""
    what, url, argument = sys.argv[1:]
    parts = urlsplit(url)
    if what == "until":
        print(json.dumps(until(parts.netloc, parts.path, Path(argument))))
        return
    if what == "stop":
        print(json.dumps(stop(parts.netloc, parts.path, argument)))
        return
    answers = []
    for _ in range(int(argument)):
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
        answers.append(get(connection, parts.path))
        connection.close()
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
