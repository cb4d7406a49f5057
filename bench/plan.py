"""How much of everything is done."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {
    "finishes what it accepted": "finish",
    "closes idle connections first": "close",
    "exits at once": "exit",
    "is drained, then exits at once": "exit",
}
"""Kinds of application by what they do when they are told to stop, and their ON_TERM."""
DRAINED = "is drained, then exits at once"


@dataclass(frozen=True)
class Plan:
    """The size of each measurement.

    Attributes:
        systems: which are compared.
        intervals: seconds between the looks of those that look at intervals; None as each comes.
        starts: containers started for convergence.
        starts_polled: the same for systems that look at intervals: what they take is a matter of those.
        dead: servers that are down.
        dead_seconds: for how long their cost is looked at.
        dead_settled: seconds after which it is looked at again.
        churn: starts, stops, restarts and rolls of each kind of application.
        churn_polled: the same for systems that look at intervals: each change waits for such a look.
        kinds: the kinds of application.
        stops: stops for each kind of address.
        ways: the kinds of address.
        proxies: whether there is a docker-proxy.
        rounds: of throughput.
        round_seconds: of each such round.
        idle_seconds: how long is idled.
        idle_containers: with how many containers.
        sizes: numbers of servers for the scale.
        changes: single changes measured at each size.
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
"""Half an hour or so: enough for a median of what does not look at intervals."""
