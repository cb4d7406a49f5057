"""By what a service is served: what is ready, and what is doubtful where it is the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .config.settings import Service
from .haproxy.runtime import DRAIN, READY, Running
from .haproxy.servers import key_of
from .model.endpoint import Endpoint
from .state.drains import Drains, covering
from .state.stopping import Told


def in_doubt(
    service: Service,
    backends: Mapping[str, Sequence[Endpoint]],
    doubtful: Mapping[str, Sequence[Endpoint]],
    told: Told,
    marks: Drains = (),
) -> tuple[list[Endpoint], list[Endpoint]]:
    """The service's backends that are ready, and those that are not.

    These are unfit in Docker's eyes, were told to stop, or are drained by the operator.
    """
    ready: list[Endpoint] = []
    others = list(doubtful.get(service.name, ()))
    for one in backends.get(service.name, ()):
        stopping = told.get((one.docker_host, one.container_id))
        resting = (stopping and one.port in stopping.ports) or covering(marks, one)
        (others if resting else ready).append(one)
    return ready, others


def kept(
    service: Service,
    ready: Sequence[Endpoint],
    doubtful: Sequence[Endpoint],
    known: Sequence[Endpoint],
    running: Running | None,
    marks: Drains = (),
) -> list[Endpoint]:
    """The doubtful ones that go on serving, or serve again, because the service has no other usable server.

    A 503 for certain is worse than a doubtful server; HAProxy's own check, or its death, takes it out. What the
    operator has drained does not come back for that.

    Args:
        service: the service.
        ready: its backends that Docker holds fit.
        doubtful: those that it does not.
        known: those that served so far.
        running: what HAProxy says, or None where it cannot be asked.
        marks: what is drained.
    """
    if running is None:
        return [] if ready else [one for one in doubtful if one in known]
    states = running.servers
    if any(state.usable for one in ready if (state := states.get(key_of(service, one)))):
        return []
    there = [(one, state) for one in doubtful if (state := states.get(key_of(service, one)))]
    stay = [one for one, state in there if state.admin == READY]
    if any(state.usable for _, state in there):
        return stay
    return stay + [one for one, state in there if state.admin == DRAIN and state.passes and not covering(marks, one)]
