"""Addresses: what it costs to reach a container at its published port, and at its own address."""

from __future__ import annotations

import docker

from .churn import Changes
from .containers import BALANCER_PORT, LOOPBACK, ORIGIN, run
from .engine import bridge_address, engine
from .figures import Figure
from .plan import Plan
from .probe import first_answer
from .systems import balancer, chosen, configuration, folder
from .throughput import of_rounds
from .wrk import wrk

KINDS = ("finishes what it accepted", "exits at once")


def measure(plan: Plan) -> list[Figure]:
    """Measure every kind of address, with and without docker-proxy."""
    figures = []
    for proxy in plan.proxies:
        with engine(userland_proxy=proxy) as client:
            ways = {"published on loopback": LOOPBACK, "published on the bridge": bridge_address(), "own": None}
            for way in plan.ways:
                publish = ways[way]
                of = f"{way}, {'docker-proxy' if proxy else 'no docker-proxy'}"
                figures += _throughput(client, of, publish, plan)
                figures += _stops(client, of, publish, plan)
                print(f"addresses: {of}: done", flush=True)
    return figures


def _discovery(publish: str | None) -> dict[str, str]:
    return {} if publish else {"container_network": "bridge"}


def _throughput(client: docker.DockerClient, of: str, publish: str | None, plan: Plan) -> list[Figure]:
    origins = [run(client, publish=publish, command=ORIGIN) for _ in range(2)]
    with folder("addresses") as where, balancer(configuration(where, discovery=_discovery(publish))):
        first_answer((LOOPBACK, BALANCER_PORT))
        rounds = [wrk(BALANCER_PORT, plan.round_seconds) for _ in range(plan.rounds)]
    for one in origins:
        one.container.remove(force=True)
    return of_rounds(of, rounds)


def _stops(client: docker.DockerClient, of: str, publish: str | None, plan: Plan) -> list[Figure]:
    """Count failed requests while containers are stopped, with the first system of the plan."""
    figures = []
    _, start = next(chosen(plan))
    for kind in (kind for kind in plan.kinds if kind in KINDS):
        with Changes(client, kind, publish) as changes, start(discovery=_discovery(publish)) as system:
            booked = changes.under_load(system, [changes.roll] * plan.stops)
        lost = len(booked.failures) / plan.stops
        figures.append(Figure(f"failed a stop, {kind}", f"{of}: {system.name}", "", [lost]))
    return figures
