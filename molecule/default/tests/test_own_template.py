"""The user's own template, filled with the result of docker_endpoints_info."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from ask import containers, get, within
from testinfra.host import Host

testinfra_hosts = ["ansible://trixie"]

PLAYBOOK = "molecule/default/own_template.yml"
CONFIG = "/etc/haproxy/own.cfg"


@pytest.fixture
def own_haproxy(host: Host, play: Callable[..., str]) -> Iterator[None]:
    """Run another HAProxy with the user's own configuration."""
    play(PLAYBOOK)
    host.check_output("haproxy -D -f %s -p /run/own.pid", CONFIG)
    yield
    host.check_output("kill $(cat /run/own.pid)")
    host.check_output("rm /run/own.pid %s", CONFIG)


@pytest.mark.usefixtures("own_haproxy")
def test_own_haproxy_balances_the_same_containers(host: Host) -> None:
    within(10, lambda: host.socket("tcp://127.0.0.1:8081").is_listening)
    answers = get(host, "http://127.0.0.1:8081/", count=6)
    assert {text.removeprefix("Hello from ").strip() for _, text in answers} == set(containers(host))


@pytest.mark.usefixtures("own_haproxy")
def test_second_run_changes_nothing(play: Callable[..., str]) -> None:
    assert "changed=0" in play(PLAYBOOK)
