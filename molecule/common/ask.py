"""Send requests from inside a test host."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testinfra.host import Host

SERVICE = "http://localhost:8080/"
LOADED = 4
"""How many times longer than on a quiet machine things may take on a busy one."""

_CLIENT = (Path(__file__).parent / "client.py").read_text()


def get(host: Host, url: str = SERVICE, count: int = 1) -> list[tuple[int, str]]:
    """Return the status and text of each answer; every request has a new connection."""
    output = host.check_output("python3 -c %s get %s %s", _CLIENT, url, str(count))
    return [(status, text) for status, text in json.loads(output)]


def containers(host: Host) -> list[str]:
    """Send twelve requests, and return the short ids of the containers that answer, in order."""
    answers = get(host, count=12)
    assert {status for status, _ in answers} == {200}, answers
    assert all(text.startswith("Hello from ") for _, text in answers), answers
    return [text.removeprefix("Hello from ").strip() for _, text in answers]


def stop(host: Host, container: str) -> dict[str, Any]:
    """Stop a container under steady clients, and return what they saw."""
    seen: dict[str, Any] = json.loads(host.check_output("python3 -c %s stop %s %s", _CLIENT, SERVICE, container))
    return seen


@contextmanager
def steady(host: Host) -> Iterator[dict[str, Any]]:
    """Run clients during the block, on new connections and on a kept one. Yields what they saw, filled at the end."""
    file = "/tmp/steady-clients-end"
    host.check_output("rm -f %s %s.begun", file, file)
    seen: dict[str, Any] = {}

    def ask() -> None:
        seen.update(json.loads(host.check_output("python3 -c %s until %s %s", _CLIENT, SERVICE, file)))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        # From here on the clients notice everything.
        within(10, lambda: host.file(f"{file}.begun").exists)
        yield seen
    finally:
        host.check_output("touch %s", file)
        thread.join(60)
    assert seen.get("answered"), seen


def within(seconds: float, condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most this many seconds on a quiet machine."""
    seconds *= LOADED
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.2)


def cron_at_work(host: Host) -> bool:
    """Whether the process runs that cron starts every minute."""
    return "/dockmaster-cron.lock" in host.check_output("lslocks --noheadings --output PATH")
