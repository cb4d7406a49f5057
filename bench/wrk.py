"""wrk: send as many requests as possible."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from .containers import HOST

CONNECTIONS = 32
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Round:
    """What wrk reports.

    Attributes:
        rate: requests per second.
        median: latency in milliseconds.
        high: the latency of the 99th percentile, in milliseconds.
        failed: answers other than 200, and broken connections.
    """

    rate: float
    median: float
    high: float
    failed: int


def wrk(port: int, seconds: float) -> Round:
    """Run wrk for some seconds, rounded because wrk takes whole seconds only."""
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{max(1, round(seconds))}s"]
    command += ["--latency", "--header", f"Host: {HOST}", f"http://127.0.0.1:{port}/"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = float(_found(r"Requests/sec:\s+([\d.]+)", output)[0])
    median, high = (_milliseconds(*_found(rf"{share}%\s+([\d.]+)(us|ms|s)", output)) for share in (50, 99))
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    count = sum(int(text) for one in (failed, broken) if one for text in one.groups())
    return Round(rate, median, high, count)


def _found(pattern: str, output: str) -> tuple[str, ...]:
    found = re.search(pattern, output)
    if not found:
        raise ValueError(f"wrk does not print {pattern}:\n{output}")
    return found.groups()


def _milliseconds(value: str, unit: str) -> float:
    return float(value) * _UNITS[unit]
