"""The playbooks that operators run besides site.yml."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ask import containers, within
from testinfra.host import Host

testinfra_hosts = ["ansible://trixie"]

Play = Callable[..., str]


def test_check_mode_of_a_second_run_changes_nothing(play: Play) -> None:
    assert "changed=0" in play("site.yml", "--check", "--diff")


def test_scale_starts_and_stops_containers(host: Host, play: Play) -> None:
    play("playbooks/scale.yml", "-e", "scale_app=nodesrv", "-e", "scale_count=3")
    # It gets traffic once its first check has passed.
    within(10, lambda: len(set(containers(host))) == 3)
    play("playbooks/scale.yml", "-e", "scale_app=nodesrv", "-e", "scale_count=2")
    within(10, lambda: len(set(containers(host))) == 2)
    assert host.check_output("docker ps --format '{{.Names}}' | sort").split() == ["nodesrv-1", "nodesrv-2"]


@pytest.mark.parametrize(
    "wrong", ["scale_app=nobody scale_count=3", "scale_app=nodesrv scale_count=many", "scale_app=nodesrv"]
)
def test_scale_fails_with_wrong_extra_vars(play: Play, wrong: str) -> None:
    arguments = [argument for pair in wrong.split() for argument in ("-e", pair)]
    assert "expected -e scale_app=NAME -e scale_count=NUMBER" in " ".join(
        play("playbooks/scale.yml", *arguments, fails=True).split()
    )


def test_status_fails_while_haproxy_is_stopped(host: Host, play: Play) -> None:
    assert "nodesrv-1" in play("playbooks/status.yml")
    host.check_output("systemctl stop haproxy")
    try:
        assert "HAProxy: stopped" in play("playbooks/status.yml", fails=True)
    finally:
        host.check_output("systemctl start haproxy")


def test_hanging_docker_engine_is_an_error_before_any_change(host: Host, play: Play) -> None:
    host.check_output("pkill -STOP -x dockerd")
    try:
        output = play("site.yml", fails=True)
    finally:
        host.check_output("pkill -CONT -x dockerd")
    assert "gave no answer within 10 s" in " ".join(output.split())
    assert "changed=0" in output
