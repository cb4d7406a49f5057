"""After remove.yml the machine is in use as it was before."""

from __future__ import annotations

import pytest
from ask import get
from testinfra.host import Host


def test_containers_of_others_are_the_only_ones_and_were_not_touched(host: Host) -> None:
    assert host.check_output("docker ps --all --format '{{.Names}}' | sort").split() == ["nodesrv-site", "site"]
    now = "docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.State.Pid}} {{.RestartCount}}' site nodesrv-site"
    assert host.check_output(now) == host.check_output("cat /root/others")


def test_images_of_others_are_the_only_ones(host: Host) -> None:
    assert host.check_output("docker image ls --format '{{.Repository}}'") == "somebody/site"


@pytest.mark.parametrize(
    ("port", "text"), [(8080, "nginx"), (8888, "haproxy"), (18000, "container"), (18001, "container")]
)
def test_each_answers_where_it_did(host: Host, port: int, text: str) -> None:
    [(status, answer)] = get(host, f"http://localhost:{port}/")
    assert status == 200
    assert answer.startswith(text)


def test_configurations_of_others_are_back(host: Host) -> None:
    assert "bind :8888" in host.file("/etc/haproxy/haproxy.cfg").content_string
    assert host.file("/etc/docker/daemon.json").content_string == '{"labels": ["owner=somebody"]}\n'


@pytest.mark.parametrize(
    "path",
    [
        "/etc/haproxy/haproxy.cfg.before-dockmaster",
        "/etc/dockmaster",
        "/etc/cron.d/dockmaster",
        "/etc/systemd/system/docker.socket.d",
        "/usr/local/bin/dockmaster",
        "/var/lib/dockmaster",
    ],
)
def test_file_is_gone(host: Host, path: str) -> None:
    assert not host.file(path).exists
