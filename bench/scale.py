"""Scale: ten to ten thousand servers, with simulated Docker hosts and a real HAProxy."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from . import command
from .containers import BALANCER_PORT, LOOPBACK
from .figures import Figure
from .haproxy import HAPROXY
from .idle import MEGABYTE, used
from .plan import Plan
from .probe import answers, first_answer
from .processes import ready, started
from .simulated_docker import FIRST_PORT, Simulated, Started, address, simulated_docker
from .systems import SERVICE, System, balancer, configuration, folder, watcher
from .waiting import until

BALANCER = (LOOPBACK, BALANCER_PORT)
MOST_HOSTS = 100
SYNCS = 3
GOALS = 1.0, 150.0
"""CPU seconds in an idle minute, and megabytes, at the largest size."""
PATIENCE = 120.0
# A request can name its server, because one of ten thousand would hardly be met by chance.
TO_SERVER = "use-server %[req.hdr(x-server)] if { req.hdr(x-server) -m found }"
ORIGINS = """
global
    fd-hard-limit 10000
defaults
    mode http
    timeout client 1m
    timeout http-keep-alive 1m
frontend origins
    bind :{first}-{last}
    http-request return status 200 content-type text/plain lf-string "%[dst]:%[dst_port]"
"""


def measure(plan: Plan) -> list[Figure]:
    """Measure every size in turn."""
    figures = []
    for size in plan.sizes:
        hosts = min(MOST_HOSTS, max(1, size // 10))
        ports = size // hosts + plan.changes
        with folder("scale") as where, simulated_docker(size, hosts) as api, origins(ports):
            config = configuration(where, docker_hosts=api.docker_hosts, listen=[TO_SERVER])
            figures += _syncs(config, size)
            with watcher(config) as system:
                until("every server", partial(_all_usable, system, size), PATIENCE, 0.2)
                figures += used(system, plan.idle_seconds, size=size, goals=GOALS)
                figures += _changes(system, api, size, plan.changes)
            print(f"scale: {size}: done", flush=True)
    return figures


@contextmanager
def origins(ports: int) -> Iterator[None]:
    """Answer at many ports of every address, with the address and the port."""
    with folder("origins") as where:
        config = where / "haproxy.cfg"
        config.write_text(ORIGINS.format(first=FIRST_PORT, last=FIRST_PORT + ports - 1))
        log = where / "haproxy.log"
        with started([HAPROXY, "-f", config], log) as process:
            ready(process, log, lambda: answers((LOOPBACK, FIRST_PORT)))
            yield


@dataclass(frozen=True)
class Ran:
    """What an ended process took: seconds, CPU seconds, and megabytes at most."""

    seconds: float
    cpu: float
    memory: float


def _run(line: list[str]) -> Ran:
    began = time.monotonic()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, resources = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line)
    return Ran(seconds, resources.ru_utime + resources.ru_stime, resources.ru_maxrss * 1024 / MEGABYTE)


def _syncs(config: Path, size: int) -> list[Figure]:
    """Measure the first sync while HAProxy is stopped, HAProxy's start, and syncs that change nothing."""
    first = _run(command.sync(config))
    began = time.monotonic()
    with balancer(config) as proxy:
        until("every server", lambda: len(proxy.usable()) >= size, PATIENCE, 0.05)
        begun = time.monotonic() - began
        none = [_run(command.sync(config)) for _ in range(SYNCS)]
    of = "a sync"
    return [
        Figure("cold start", of, "s", [first.seconds], size),
        Figure("cold start", "haproxy, until every server is checked", "s", [begun], size),
        Figure("a sync without a change", of, "s", [one.seconds for one in none], size, at_most=2),
        Figure("CPU of a sync without a change", of, "s", [one.cpu for one in none], size),
        Figure("memory, resident", of, "MB", [max(one.memory for one in none)], size),
    ]


def _changes(system: System, api: Simulated, size: int, times: int) -> list[Figure]:
    """Start and stop single containers: measure when HAProxy has the server, and when it answers."""
    applied, answered, haproxys = [], [], []
    for number in range(times):
        log = system.log.stat().st_size
        one = api.start(number % api.hosts + 1)
        until("the change", partial(_is_logged, system, log, one), pause=0.0005)
        applied.append((time.monotonic() - one.sent) * 1000)
        wanted = f"X-Server: {_server(api, one)}\r\n"
        answer = first_answer(BALANCER, f"{address(one.host)}:{one.port}", headers=wanted, seconds=PATIENCE)
        answered.append((answer - one.sent) * 1000)
        api.stop(one)
        haproxys.append(_added_by_hand(system, number))
    share, rest = f"{system.name}: haproxy", f"{system.name}: discovery"
    left = max(0.0, median(applied) - median(haproxys))
    return [
        Figure("one change, to its first answer", system.name, "ms", answered, size),
        Figure("one change, applied", system.name, "ms", applied, size),
        Figure("one change, applied", share, "ms", haproxys, size),
        Figure("one change, applied", rest, "ms", [left], size, at_most=5),
    ]


def _added_by_hand(system: System, number: int) -> float:
    """Return the milliseconds that HAProxy itself takes for such a change."""
    assert system.proxy is not None
    server = f"{SERVICE}/by-hand-{number}"
    began = time.monotonic()
    system.proxy.ask(
        f"add server {server} {LOOPBACK}:{FIRST_PORT} check inter 2s; enable health {server}; "
        f"set server {server} state drain; set server {server} health down; set server {server} state ready"
    )
    took = (time.monotonic() - began) * 1000
    # In maintenance it gets no requests.
    system.proxy.ask(f"set server {server} state maint")
    return took


def _is_logged(system: System, since: int, one: Started) -> bool:
    with system.log.open("rb") as log:
        log.seek(since)
        return one.id[:12].encode() in log.read()


def _server(api: Simulated, one: Started) -> str:
    name = f"{one.id[:12]}_{one.port}"
    return f"host{one.host}_{name}" if api.hosts > 1 else name


def _all_usable(system: System, size: int) -> bool:
    return system.proxy is not None and len(system.proxy.usable()) >= size
