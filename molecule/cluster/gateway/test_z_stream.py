"""A silent stream of events outlasts every time-out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, host, property_of

DOCKER_HOST = DOCKER_HOSTS[-1]
LONG = 600.0
"""Time-outs of at least this many seconds are for streams."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def test_silent_stream_outlasts_short_timeouts_and_still_brings_events(
    heard: Callable[[], list[dict[str, Any]]],
) -> None:
    text = host(DOCKER_HOST).file("/etc/dockmaster-gateway/haproxy.cfg").content_string
    # timeout http-keep-alive applies between requests, not during an answer.
    found = re.findall(r"timeout (?!http-keep-alive).*?(\d+)(ms|s|m|h|d)\b", text)
    times = [float(number) * _UNITS[unit] for number, unit in found]
    short = max(seconds for seconds in times if seconds < LONG)
    assert max(times) >= LONG
    pid = property_of(BALANCERS[0], "listen")
    within(2 * short + 10, lambda: int(host(BALANCERS[0]).check_output("ps -o etimes= -p %s", pid)) > short + 2)
    assert [line["text"] for line in heard()] == ["status 200"]

    container = host(DOCKER_HOST).check_output("docker create local/nodeapp")
    within(10, lambda: any(container in line["text"] for line in heard()))
    host(DOCKER_HOST).check_output("docker rm %s", container)
    assert heard()[1]["after"] > short
    assert not any(line["text"].startswith("end") for line in heard())
