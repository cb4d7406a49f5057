"""Everything that was on the machine before works beside Dockmaster."""

from __future__ import annotations

import json

import pytest
from ask import get
from testinfra.host import Host

OTHERS = ["site", "nodesrv-site"]


def test_containers_of_others_are_untouched(host: Host) -> None:
    now = "docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.State.Pid}} {{.RestartCount}}' site nodesrv-site"
    assert host.check_output(now) == host.check_output("cat /root/others")
    assert host.check_output("docker inspect --format '{{.State.Status}}' site nodesrv-site").split() == ["running"] * 2


@pytest.mark.parametrize(
    ("port", "text"), [(8080, "nginx"), (18000, "container"), (18001, "container"), (8090, "application")]
)
def test_each_port_answers_as_before_and_so_does_the_service(host: Host, port: int, text: str) -> None:
    [(status, answer)] = get(host, f"http://localhost:{port}/")
    assert status == 200
    assert answer.startswith(text)


def test_containers_of_others_are_no_endpoints(host: Host) -> None:
    found = json.loads(host.check_output("dockmaster status --json"))
    assert {server["container"] for server in found["servers"]} == {"nodesrv-1", "nodesrv-2"}
    file = host.file("/etc/haproxy/haproxy.cfg").content_string
    for container in OTHERS:
        assert host.check_output("docker inspect --format '{{.Id}}' %s", container)[:12] not in file


def test_configurations_of_others_are_kept(host: Host) -> None:
    assert "bind :8888" in host.file("/etc/haproxy/haproxy.cfg.before-dockmaster").content_string
    settings = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert settings["labels"] == ["owner=somebody"]
    assert settings["live-restore"]
