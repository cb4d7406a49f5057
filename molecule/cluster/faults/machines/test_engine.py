"""A Docker host whose engine does not answer."""

from __future__ import annotations

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, host, servers, source, takes_up_changes, whole
from fault import fault, short

DOCKER_HOST = DOCKER_HOSTS[0]


def test_an_engine_is_stopped_and_its_containers_go_on_serving() -> None:
    engine = host(DOCKER_HOST)
    before = {balancer: servers(balancer) for balancer in BALANCERS}
    with fault(f"Docker stopped on {short(DOCKER_HOST)}, and started") as one:
        engine.check_output("systemctl stop docker.socket docker.service")
        one.inject("engine stopped")
        one.await_(
            "both balancers call it unknown",
            30,
            lambda: not any(source(balancer, DOCKER_HOST)["answers"] for balancer in BALANCERS),
        )
        assert one.served_by(DOCKER_HOST) > 0
        assert {balancer: servers(balancer) for balancer in BALANCERS} == before
        # The others are followed meanwhile.
        takes_up_changes(DOCKER_HOSTS[1])
        engine.check_output("systemctl start docker.socket docker.service")
        one.undo("engine started")
        one.await_("both balancers hold that all is well", 30, whole)
        takes_up_changes(DOCKER_HOST)
        assert one.served_by(DOCKER_HOST) > 0
    within(20, lambda: {balancer: servers(balancer) for balancer in BALANCERS} == before)
