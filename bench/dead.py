"""Dead servers: what HAProxy's checks of new servers cost that never come up."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from functools import partial

from .figures import Figure
from .idle import used
from .plan import Plan
from .simulated_docker import Simulated, simulated_docker
from .systems import OURS, System, configuration, folder
from .waiting import until


def measure(plan: Plan) -> list[Figure]:
    """Measure without dead servers, with new ones of a simulated Docker host, and with the same ones later."""
    figures = []
    for name, follow in OURS.items():
        if name not in plan.systems:
            continue
        with folder("dead") as where, simulated_docker(0, 1) as api:
            config = configuration(where, docker_hosts=api.docker_hosts)
            figures += _of_system(follow(config), api, plan)
        print(f"dead: {name} done", flush=True)
    return figures


def _of_system(starting: AbstractContextManager[System], api: Simulated, plan: Plan) -> list[Figure]:
    with starting as system:
        figures = used(system, plan.dead_seconds, when="none")
        for _ in range(plan.dead):
            api.start(1)
        until("every server in HAProxy", partial(_has_all, system, plan.dead))
        figures += used(system, plan.dead_seconds, when=f"{plan.dead} new")
        time.sleep(plan.dead_settled)
        return figures + used(system, plan.dead_seconds, when=f"{plan.dead} that stay down")


def _has_all(system: System, size: int) -> bool:
    return system.proxy is not None and len(system.proxy.servers()) == size
