"""The playbooks that people run beside site.yml."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ask import containers, within
from testinfra.host import Host

testinfra_hosts = ["ansible://trixie"]

Play = Callable[..., str]


def test_check_mode_finds_nothing_to_do(play: Play) -> None:
    assert "changed=0" in play("site.yml", "--check", "--diff")


def test_scale_up_and_down(host: Host, play: Play) -> None:
    play("playbooks/scale.yml", "-e", "app=nodesrv", "-e", "count=3")
    # It is there; it gets traffic when its first check has passed.
    within(10, lambda: len(set(containers(host))) == 3)
    play("playbooks/scale.yml", "-e", "app=nodesrv", "-e", "count=2")
    within(10, lambda: len(set(containers(host))) == 2)
    assert host.check_output("docker ps --format '{{.Names}}' | sort").split() == ["nodesrv-1", "nodesrv-2"]


@pytest.mark.parametrize("wrong", ["app=nobody count=3", "app=nodesrv count=many", "app=nodesrv"])
def test_scale_refuses_what_makes_no_sense(play: Play, wrong: str) -> None:
    arguments = [argument for pair in wrong.split() for argument in ("-e", pair)]
    assert "expected -e app=NAME -e count=NUMBER" in " ".join(
        play("playbooks/scale.yml", *arguments, fails=True).split()
    )


def test_status_shows_each_server_and_fails_while_haproxy_is_stopped(host: Host, play: Play) -> None:
    assert "nodesrv-1" in play("playbooks/status.yml")
    host.check_output("systemctl stop haproxy")
    try:
        assert "HAProxy: stopped" in play("playbooks/status.yml", fails=True)
    finally:
        host.check_output("systemctl start haproxy")


def test_an_engine_that_does_not_answer_is_refused(host: Host, play: Play) -> None:
    host.check_output("pkill -STOP -x dockerd")
    try:
        output = play("site.yml", fails=True)
    finally:
        host.check_output("pkill -CONT -x dockerd")
    assert "gave no answer within 10 s" in " ".join(output.split())
    assert "changed=0" in output
