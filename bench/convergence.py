"""Convergence: from the start of a container to its first answer, directly and through the balancer."""

from __future__ import annotations

import random
import threading
import time
from queue import SimpleQueue

import docker
from docker.models.containers import Container

from .containers import BALANCER_PORT, LOOPBACK, create, free_port, run, running, short
from .engine import engine
from .figures import Figure
from .plan import Plan
from .probe import first_answer, first_answers
from .systems import System, chosen

BALANCER = (LOOPBACK, BALANCER_PORT)
SERVERS = 2
"""Requests at a time to the balancer, which sends one to each server: the old one and the new one."""
HEALTHY = "health_status: healthy"


def measure(plan: Plan) -> list[Figure]:
    """Measure each system with its own containers."""
    figures = []
    with engine() as client:
        for name, start in chosen(plan):
            anchor = run(client)
            with start() as system:
                first_answer(BALANCER, anchor.name)
                times = plan.starts_polled if system.interval else plan.starts
                figures += _plain(client, system, times)
                figures += _with_healthcheck(client, system, times)
            anchor.container.remove(force=True)
            print(f"convergence: {name} done", flush=True)
    return figures


def _plain(client: docker.DockerClient, system: System, times: int) -> list[Figure]:
    direct, through = [], []
    for _ in range(times):
        _apart(system)
        port = free_port()
        container = create(client, port=port)
        container.start()
        began = time.monotonic()
        answered = first_answers(((LOOPBACK, port), "", 1), (BALANCER, short(container), SERVERS))
        both = [one.result() - began for one in answered]
        direct.append(both[0] * 1000)
        through.append(both[1] * 1000)
        container.remove(force=True)
    behind = [two - one for one, two in zip(direct, through, strict=True)]
    ratios = [two / one for one, two in zip(direct, through, strict=True)]
    ours = system.interval == 0
    return [
        Figure("first answer from the start, directly", system.name, "ms", direct),
        Figure("first answer from the start, balanced", system.name, "ms", through),
        Figure("behind the direct answer", system.name, "ms", behind, at_most=5 if ours else None),
        Figure("balanced : direct", system.name, "", ratios, at_most=1.1 if ours else None),
        Figure("balanced : direct, the worst", system.name, "", [max(ratios)], at_most=1.5 if ours else None),
    ]


def _with_healthcheck(client: docker.DockerClient, system: System, times: int) -> list[Figure]:
    behind = []
    for _ in range(times):
        _apart(system)
        container = create(client, healthcheck=True)
        healthy = _healthy(client, container)
        container.start()
        running(container)
        (through,) = first_answers((BALANCER, short(container), SERVERS))
        behind.append((through.result() - healthy.get(timeout=60)) * 1000)
        container.remove(force=True)
    return [Figure("first answer from healthy, balanced", system.name, "ms", behind)]


def _apart(system: System) -> None:
    """Wait for a random part of the polling interval, because the last answer came just after a poll."""
    time.sleep(random.uniform(0, system.interval))


def _healthy(client: docker.DockerClient, container: Container) -> SimpleQueue[float]:
    """Return a queue that gets the monotonic time at which Docker reports a container as healthy."""
    reported: SimpleQueue[float] = SimpleQueue()
    events = client.events(decode=True, filters={"container": container.id, "event": "health_status"})

    def listen() -> None:
        for event in events:
            if event["Action"] == HEALTHY:
                reported.put(event["timeNano"] / 1e9 - time.time() + time.monotonic())
                events.close()
                return

    threading.Thread(target=listen, daemon=True).start()
    return reported
