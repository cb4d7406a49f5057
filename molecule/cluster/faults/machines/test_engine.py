"""A Docker host whose Docker engine is stopped."""

from __future__ import annotations

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, follow_containers, host, servers, source, whole
from fault import fault, short

DOCKER_HOST = DOCKER_HOSTS[0]


def test_containers_of_a_stopped_docker_engine_go_on_serving() -> None:
    engine = host(DOCKER_HOST)
    before = {balancer: servers(balancer) for balancer in BALANCERS}
    with fault(f"Docker stopped on {short(DOCKER_HOST)}, and started again") as one:
        engine.check_output("systemctl stop docker.socket docker.service")
        one.inject("Docker is stopped")
        one.await_(
            "both balancers report it as unreachable",
            30,
            lambda: not any(source(balancer, DOCKER_HOST)["answers"] for balancer in BALANCERS),
        )
        assert one.served_by(DOCKER_HOST) > 0
        assert {balancer: servers(balancer) for balancer in BALANCERS} == before
        # Meanwhile, the balancers follow the other Docker hosts.
        follow_containers(DOCKER_HOSTS[1])
        engine.check_output("systemctl start docker.socket docker.service")
        one.undo("Docker is started")
        one.await_("the cluster works", 30, whole)
        follow_containers(DOCKER_HOST)
        assert one.served_by(DOCKER_HOST) > 0
    within(20, lambda: {balancer: servers(balancer) for balancer in BALANCERS} == before)
