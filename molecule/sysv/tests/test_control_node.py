"""Scheduled runs of the playbooks on the control node."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ask import within
from testinfra.host import Host

CRON = "/etc/cron.d/dockmaster-control"
LOG = "/var/log/dockmaster/discover.log"
HOOK = "/root/hook"
ON = {
    "control_node_schedule": True,
    "control_node_discover_minute": "*",
    "control_node_on_failure": f"touch {HOOK}",
}


@pytest.fixture
def line(host: Host) -> Iterator[str]:
    """Schedule discover.yml every minute, and return cron's line for it."""
    assert not host.file(CRON).exists
    host.check_output("make -C /root/dockmaster up ARGS=%s", f"--tags control_node -e '{json.dumps(ON)}'")
    yield next(line for line in host.file(CRON).content_string.splitlines() if "discover.yml" in line)
    host.check_output("make -C /root/dockmaster up ARGS=%s", "--tags control_node")
    assert not host.file(CRON).exists


def test_cron_runs_the_playbook_and_a_failure_runs_the_hook(host: Host, line: str) -> None:
    within(120, lambda: host.file(LOG).exists and "PLAY RECAP" in host.file(LOG).content_string)
    assert "failed=0" in host.file(LOG).content_string
    assert not host.file(HOOK).exists

    command = line.split(" root ", 1)[1]
    # Wait until no run of cron holds the lock.
    within(60, lambda: "dockmaster-control.lock" not in host.check_output("lslocks --noheadings --output PATH"))
    host.run(command.replace("playbooks/discover.yml", "playbooks/absent.yml"))
    assert host.file(HOOK).exists
    assert "playbooks/absent.yml" in host.file(LOG).content_string
