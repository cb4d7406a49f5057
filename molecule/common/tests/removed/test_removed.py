"""After remove.yml, nothing that Dockmaster installed is left."""

from __future__ import annotations

import pytest
from testinfra.host import Host


@pytest.mark.parametrize(
    "path",
    [
        "/etc/dockmaster",
        "/usr/local/bin/dockmaster",
        "/usr/local/lib/dockmaster",
        "/etc/cron.d/dockmaster",
        "/etc/cron.d/dockmaster-control",
        "/etc/systemd/system/dockmaster-watch.service",
        "/etc/systemd/system/dockmaster-sync.path",
        "/etc/systemd/system/dockmaster-sync.service",
        "/etc/init.d/dockmaster-watch",
        "/run/dockmaster",
        "/run/dockmaster-cron",
        "/var/lib/dockmaster",
        "/var/log/dockmaster",
        "/etc/docker/daemon.json",
        "/etc/haproxy/haproxy.cfg.before-dockmaster",
    ],
)
def test_file_is_removed(host: Host, path: str) -> None:
    assert not host.file(path).exists


def test_watcher_and_its_user_are_removed(host: Host) -> None:
    assert (
        host.run("grep --files-with-matches --null-data '^/usr/local/bin/dockmaster$' /proc/[0-9]*/cmdline").stdout
        == ""
    )
    assert not host.user("dockmaster").exists


def test_containers_are_removed(host: Host) -> None:
    # The Docker engine is stopped again, as it was before the installation.
    assert host.file("/var/lib/docker/containers").listdir() == []


def test_images_are_removed(host: Host) -> None:
    names = host.check_output("cat /var/lib/docker/image/*/repositories.json")
    assert "local/nodeapp" not in names
    assert "debian" not in names


@pytest.mark.parametrize("port", [4243, 8080, 8404])
def test_port_is_closed(host: Host, port: int) -> None:
    program = f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {port})))"
    assert host.check_output("python3 -c %s", program) == "111"


def test_haproxy_has_the_configuration_of_the_package(host: Host) -> None:
    original = host.check_output("dpkg-query --show --showformat '${Conffiles}' haproxy")
    assert f"/etc/haproxy/haproxy.cfg {host.file('/etc/haproxy/haproxy.cfg').md5sum}" in original
