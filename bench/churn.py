"""Churn: what happens to requests while containers start, stop and restart, and another server is always usable."""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

import docker
from docker.models.containers import Container

from .containers import BALANCER_PORT, LOOPBACK, Running, run, running
from .engine import engine
from .figures import Figure
from .load import Booked, load
from .plan import DRAINED, KINDS, Plan
from .probe import first_answer
from .systems import Start, System, chosen

BALANCER = (LOOPBACK, BALANCER_PORT)
STARTS: tuple[dict[str, str], ...] = ({}, {"START_DELAY": "0.5"}, {"FAIL_SECONDS": "0.5"})
"""A container serves at once, listens late, or answers 500 at first."""


def measure(plan: Plan) -> list[Figure]:
    """Measure every system with every kind of application."""
    figures = []
    with engine() as client:
        for name, start in chosen(plan):
            for kind in plan.kinds:
                figures += _run(client, start, kind, plan)
                print(f"churn: {name}, {kind}: done", flush=True)
    return figures


def _run(client: docker.DockerClient, start: Start, kind: str, plan: Plan) -> list[Figure]:
    with Changes(client, kind) as changes, start() as system:
        if kind == DRAINED and system.drain is None:
            return []
        times = plan.churn if system.interval == 0 else plan.churn_polled
        before = system.reloads()
        booked = changes.under_load(system, itertools.islice(itertools.cycle(changes.each()), times))
        reloads = system.reloads() - before
    return _figures(system, kind, booked, changes.stops, reloads)


class Changes:
    """Starts and stops containers.

    Args:
        client: the client of the engine.
        kind: what the application does on SIGTERM, one of KINDS.
        publish: the address of the machine that ports are published on; None does not publish them.

    Attributes:
        anchor: the container that runs all the time.
        stops: how many containers were stopped.
    """

    def __init__(self, client: docker.DockerClient, kind: str, publish: str | None = LOOPBACK) -> None:
        self.client = client
        self.kind = kind
        self.publish = publish
        self.system: System | None = None
        self.stops = 0
        self.variants = itertools.cycle(STARTS)
        self.all: list[Container] = []
        self.others: deque[Running] = deque()

    def __enter__(self) -> Changes:
        """Start the container that runs all the time, and another one."""
        self.anchor = self._new()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove all containers."""
        for container in self.all:
            container.remove(force=True)

    def under_load(self, system: System, changes: Iterable[Callable[[], None]]) -> Booked:
        """Make changes under load, and return what happened to the requests."""
        self.system = system
        self.balanced(self.anchor)
        with load() as booked:
            for change in changes:
                change()
            # Requests just after the last stop count as well.
            time.sleep(system.interval + 1)
        return booked[0]

    def each(self) -> tuple[Callable[[], None], ...]:
        """Return one change of each kind; together they keep the number of containers."""
        return (self.start, self.restart, self.roll, self.stop)

    def start(self) -> None:
        """Start another container."""
        self.others.append(self._new(**next(self.variants)))

    def restart(self) -> None:
        """Restart the oldest container, which then has another port."""
        one = self._oldest()
        one.container.restart()
        self._drain(one, "ready")
        self.others.append(running(one.container))
        first_answer(self.others[-1].address)

    def roll(self) -> None:
        """Start a new container, and stop the oldest once the new one answers."""
        self.start()
        self.stop()

    def stop(self) -> None:
        """Stop the oldest container."""
        one = self._oldest()
        one.container.stop()
        one.container.remove()
        self.all.remove(one.container)

    def balanced(self, one: Running) -> None:
        """Wait until a container has traffic: to stop one without traffic would show nothing."""
        first_answer(BALANCER, one.name)

    def _new(self, **environment: str) -> Running:
        one = run(self.client, publish=self.publish, ON_TERM=KINDS[self.kind], **environment)
        self.all.append(one.container)
        first_answer(one.address)
        return one

    def _oldest(self) -> Running:
        """Take the container that is stopped next."""
        one = self.others.popleft()
        self.balanced(one)
        self._drain(one, "drain")
        self.stops += 1
        return one

    def _drain(self, one: Running, word: str) -> None:
        if self.kind == DRAINED:
            assert self.system
            assert self.system.drain
            self.system.drain(word, str(one.container.id))


def _figures(system: System, kind: str, booked: Booked, stops: int, reloads: int) -> list[Figure]:
    ours = system.interval == 0
    of = f"{system.name}: {kind}"
    post = sum(failure["method"] == "POST" for failure in booked.failures)
    may_lose = kind in ("exits at once", "closes idle connections first")
    kinds = Counter(failure["kind"] for failure in booked.failures)
    return [
        Figure("requests", of, "", [booked.requests]),
        Figure("stops", of, "", [stops]),
        Figure("failed that may be repeated (GET)", of, "", [len(booked.failures) - post], at_most=0 if ours else None),
        Figure("failed POST", of, "", [post], at_most=0 if ours and not may_lose else None),
        Figure("failed POST a stop", of, "", [post / max(1, stops)]),
        *(Figure(f"failed {what}", of, "", [count], detail=True) for what, count in sorted(kinds.items())),
        Figure("reloads", of, "", [reloads], at_most=0 if ours else None),
        Figure("latency, median", of, "ms", [booked.quantile(0.5)]),
        Figure("latency, 99 %", of, "ms", [booked.quantile(0.99)]),
        Figure("the client behind its schedule, at the worst", of, "ms", [booked.behind * 1000]),
    ]
