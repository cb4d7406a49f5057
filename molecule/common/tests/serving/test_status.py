"""The command ``dockmaster status``."""

from __future__ import annotations

import json

from ask import containers
from testinfra.host import Host


def test_table_shows_each_container(host: Host) -> None:
    heading, *rows = host.check_output("dockmaster status").splitlines()
    assert heading.split()[:2] == ["SERVICE", "SERVER"]
    rows = [row for row in rows if row.startswith("nodesrv ")]
    assert len(rows) == 2
    for short_id in containers(host):
        assert sum(short_id in row for row in rows) == 1


def test_json_says_the_same(host: Host) -> None:
    status = json.loads(host.check_output("dockmaster status --json"))
    assert status["healthy"]
    assert status["problems"] == []
    assert {server["service"] for server in status["servers"]} == {"nodesrv"}
    assert {server["docker"] for server in status["servers"]} == {"running"}
    assert {server["server"][:12] for server in status["servers"]} == set(containers(host))


def test_silence_of_docker_is_a_failure(host: Host) -> None:
    # Nothing listens on port 1.
    host.check_output("sed 's/4243/1/' /etc/dockmaster/dockmaster.yml > /tmp/silent.yml")
    result = host.run("dockmaster status --config /tmp/silent.yml")
    assert result.rc == 1
    assert "problem: " in result.stdout
