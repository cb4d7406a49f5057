"""Containers start and stop, and traffic follows. The tests themselves never call Dockmaster."""

from __future__ import annotations

from ask import containers, stop, within
from testinfra.host import Host


def test_answers_alternate_between_two_containers(host: Host) -> None:
    answers = containers(host)
    assert len(set(answers)) == 2
    assert answers == answers[:2] * 6


def test_started_container_gets_traffic(host: Host, third: str) -> None:
    within(30, lambda: third in containers(host))
    assert len(set(containers(host))) == 3


def test_stopping_a_container_fails_no_request(host: Host, third: str) -> None:
    within(30, lambda: third in containers(host))
    seen = stop(host, third)
    assert seen["answered_before"]
    assert seen["status"] == 0
    assert seen["failures"] == []
    assert seen["requests"] > 100
    assert seen["seconds"] < 30
    within(30, lambda: third not in host.check_output("dockmaster status"))
