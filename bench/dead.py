"""Dead servers: what the checks of servers cost that are down and stay down."""

from __future__ import annotations

from functools import partial

from .figures import Figure
from .idle import used
from .plan import Plan
from .simulated_docker import simulated_docker
from .systems import OURS, System, configuration, folder
from .waiting import until


def measure(plan: Plan) -> list[Figure]:
    """As many as the plan says beside none, of a simulated Docker host."""
    figures = []
    for name, follow in OURS.items():
        for size in (0, plan.dead) if name in plan.systems else ():
            with folder("dead") as where, simulated_docker(size, 1) as api:
                config = configuration(where, docker_hosts=api.docker_hosts)
                with follow(config) as system:
                    until("all down", partial(_all_down, system, size))
                    figures += used(system, plan.dead_seconds, size=size)
    return figures


def _all_down(system: System, size: int) -> bool:
    return system.proxy is not None and list(system.proxy.servers().values()).count("DOWN") == size
