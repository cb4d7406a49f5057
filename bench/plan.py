"""The size of the measurements."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {
    "finishes what it accepted": "finish",
    "closes idle connections first": "close",
    "exits at once": "exit",
    "is drained, then exits at once": "exit",
}
"""Kinds of application by what they do on SIGTERM, with their ON_TERM."""
DRAINED = "is drained, then exits at once"


@dataclass(frozen=True)
class Plan:
    """The size of each measurement.

    Attributes:
        systems: the compared systems.
        intervals: seconds between two queries of a polling system; None for each system's default.
        starts: how many containers are started for convergence.
        starts_polled: the same for polling systems, whose interval decides.
        dead: how many servers are down.
        dead_seconds: for how long their cost is measured.
        dead_settled: seconds until it is measured again.
        churn: how many starts, stops, restarts and rolls of each kind of application.
        churn_polled: the same for polling systems, which take longer for each change.
        kinds: the kinds of application.
        stops: how many stops for each kind of address.
        ways: the kinds of address.
        proxies: with docker-proxy, without it, or both.
        rounds: how many rounds of throughput.
        round_seconds: seconds of each round.
        idle_seconds: seconds of the idle measurement.
        idle_containers: how many containers run meanwhile.
        sizes: numbers of servers for the scale.
        changes: how many single changes are measured at each size.
    """

    systems: tuple[str, ...] = ("watch", "cron", "easyhaproxy")
    intervals: int | None = None
    starts: int = 50
    starts_polled: int = 15
    dead: int = 100
    dead_seconds: float = 8
    dead_settled: float = 30
    churn: int = 200
    churn_polled: int = 8
    kinds: tuple[str, ...] = tuple(KINDS)
    stops: int = 20
    ways: tuple[str, ...] = ("published on loopback", "published on the bridge", "own")
    proxies: tuple[bool, ...] = (True, False)
    rounds: int = 10
    round_seconds: float = 5
    idle_seconds: float = 60
    idle_containers: int = 10
    sizes: tuple[int, ...] = (10, 100, 1000, 10_000)
    changes: int = 20


SMOKE = Plan(
    systems=("watch",),
    intervals=1,
    starts=1,
    starts_polled=1,
    dead=10,
    dead_seconds=0.5,
    dead_settled=0,
    churn=4,
    churn_polled=4,
    kinds=("finishes what it accepted",),
    stops=1,
    ways=("own",),
    proxies=(False,),
    rounds=1,
    round_seconds=0.5,
    idle_seconds=1,
    idle_containers=2,
    sizes=(10, 100),
    changes=2,
)

SHORT = Plan(
    starts=8,
    starts_polled=8,
    dead_settled=20,
    churn=60,
    churn_polled=3,
    stops=6,
    rounds=6,
    round_seconds=3,
    changes=10,
)
"""About half an hour: enough for a median of systems that do not poll."""
