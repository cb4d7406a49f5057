"""Idle: what a system uses while nothing happens."""

from __future__ import annotations

import time

from .containers import BALANCER_PORT, LOOPBACK, run
from .engine import engine
from .figures import Figure
from .plan import Plan
from .probe import first_answer
from .processes import usage
from .systems import System, chosen

MEGABYTE = 1_000_000
GOALS = 0.05, 50.0


def measure(plan: Plan) -> list[Figure]:
    """Every system with the same containers."""
    figures = []
    with engine() as client:
        containers = [run(client) for _ in range(plan.idle_containers)]
        for name, start in chosen(plan):
            with start() as system:
                for one in containers:
                    first_answer((LOOPBACK, BALANCER_PORT), one.name)
                figures += used(system, plan.idle_seconds, goals=GOALS if system.interval == 0 else None)
            print(f"idle: {name} done", flush=True)
    return figures


def used(
    system: System, seconds: float, *, size: int | None = None, when: str = "", goals: tuple[float, float] | None = None
) -> list[Figure]:
    """What the discovery and HAProxy use in a while, CPU time counted up to a minute.

    Args:
        system: the system.
        seconds: the while.
        size: how many servers there are.
        when: in which state it is.
        goals: seconds of CPU and megabytes that the discovery may use.
    """
    before = usage(system.roots)
    time.sleep(seconds)
    after = usage(system.roots)
    figures = []
    for part, limits in (("discovery", goals or (None, None)), ("haproxy", (None, None))):
        of = f"{system.name}: {part}{when and f', {when}'}"
        cpu = (after[part].cpu - before[part].cpu) / seconds * 60
        figures += [
            Figure("CPU of an idle minute", of, "s", [cpu], size, at_most=limits[0]),
            Figure("memory, resident", of, "MB", [after[part].rss / MEGABYTE], size, at_most=limits[1]),
            Figure("memory, its share", of, "MB", [after[part].pss / MEGABYTE], size),
        ]
    return figures
