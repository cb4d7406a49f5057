"""The command ``dockmaster status``."""

from __future__ import annotations

import json

from ask import containers
from testinfra.host import Host


def test_table_has_a_row_for_each_container(host: Host) -> None:
    heading, *rows = host.check_output("dockmaster status").splitlines()
    assert heading.split()[:2] == ["SERVICE", "SERVER"]
    rows = [row for row in rows if row.startswith("nodesrv ")]
    assert len(rows) == 2
    for short_id in containers(host):
        assert sum(short_id in row for row in rows) == 1


def test_json_has_a_healthy_server_for_each_container(host: Host) -> None:
    status = json.loads(host.check_output("dockmaster status --json"))
    assert status["healthy"]
    assert status["problems"] == []
    assert {server["service"] for server in status["servers"]} == {"nodesrv"}
    assert {server["state"] for server in status["servers"]} == {"healthy"}
    assert {server["wanted"] for server in status["servers"]} == {"serve"}
    assert {server["server"][:12] for server in status["servers"]} == set(containers(host))


def test_unreachable_docker_host_is_a_problem_and_status_5(host: Host) -> None:
    # Nothing listens on port 1.
    host.check_output("sed 's/4243/1/' /etc/dockmaster/dockmaster.yml > /tmp/unreachable.yml")
    result = host.run("dockmaster status --config /tmp/unreachable.yml")
    assert result.rc == 5
    assert "problem: " in result.stdout
