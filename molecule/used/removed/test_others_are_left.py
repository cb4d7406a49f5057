"""After remove.yml, everything that was on the machine before works as before."""

from __future__ import annotations

import pytest
from ask import get
from testinfra.host import Host


def test_only_containers_of_others_are_left_and_untouched(host: Host) -> None:
    assert host.check_output("docker ps --all --format '{{.Names}}' | sort").split() == ["nodesrv-site", "site"]
    now = "docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.State.Pid}} {{.RestartCount}}' site nodesrv-site"
    assert host.check_output(now) == host.check_output("cat /root/others")


def test_only_images_of_others_are_left(host: Host) -> None:
    assert host.check_output("docker image ls --format '{{.Repository}}'") == "somebody/site"


@pytest.mark.parametrize(
    ("port", "text"), [(8080, "nginx"), (8888, "haproxy"), (18000, "container"), (18001, "container")]
)
def test_each_port_answers_as_before(host: Host, port: int, text: str) -> None:
    [(status, answer)] = get(host, f"http://localhost:{port}/")
    assert status == 200
    assert answer.startswith(text)


def test_configurations_of_others_are_restored(host: Host) -> None:
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
        "/usr/local/lib/dockmaster",
        "/run/dockmaster-cron",
        "/var/lib/dockmaster",
    ],
)
def test_file_is_removed(host: Host, path: str) -> None:
    assert not host.file(path).exists
