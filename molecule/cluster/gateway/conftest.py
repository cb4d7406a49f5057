"""A stream of events that stays silent while the other tests run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, GATEWAY, address, host

PROGRAM = Path(__file__).parents[1] / "parts" / "listen.py"
FILE = "/run/listened.jsonl"
Heard = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="session", autouse=True)
def heard() -> Iterator[Heard]:
    """Follow the last Docker host, where nothing happens. Returns a function that returns all lines so far."""
    balancer, docker_host = host(BALANCERS[0]), DOCKER_HOSTS[-1]
    balancer.check_output("printf %%s %s > /run/listen.py", PROGRAM.read_text())
    balancer.check_output(
        f"systemd-run --quiet --collect --unit listen "
        f"python3 /run/listen.py {FILE} {address(docker_host)} {GATEWAY} {docker_host}"
    )

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in balancer.run("cat %s", FILE).stdout.splitlines()]

    within(10, lambda: len(lines()) > 0)
    yield lines
    balancer.check_output("systemctl stop listen")
