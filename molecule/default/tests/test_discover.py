"""Syncs by playbook: Ansible asks Docker on its socket; the TCP API and cron are not used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ask import containers, within
from testinfra.host import Host

testinfra_hosts = ["ansible://trixie"]

PLAYBOOK = "playbooks/discover.yml"
Play = Callable[..., str]


def test_second_run_changes_nothing(play: Play) -> None:
    assert "changed=0" in play(PLAYBOOK)


@pytest.mark.usefixtures("without_others")
def test_playbook_adds_a_new_container_and_removes_a_deleted_one(host: Host, play: Play) -> None:
    container = host.check_output("docker run -d -p 8000 local/nodeapp")[:12]
    assert container not in containers(host)
    play(PLAYBOOK)
    within(10, lambda: container in containers(host))
    host.check_output("docker rm --force %s", container)
    play(PLAYBOOK)
    assert container not in host.check_output("dockmaster status")
