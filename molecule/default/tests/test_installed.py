"""Packages, services, and the rights to sockets."""

from __future__ import annotations

import socket

import pytest
from ask import containers, get
from testinfra.host import Host

PUBLIC = 8080
LOOPBACK = [4243, 8404]
PYTHON = ["python3-docker", "python3-jinja2", "python3-prometheus-client", "python3-yaml"]


@pytest.mark.parametrize("name", ["docker.io", "haproxy", "cron", *PYTHON])
def test_package_is_installed(host: Host, name: str) -> None:
    assert host.package(name).is_installed


@pytest.mark.parametrize("name", ["docker", "haproxy", "cron", "dockmaster-watch"])
def test_service_runs_now_and_after_a_reboot(host: Host, name: str) -> None:
    assert host.service(name).is_running
    assert host.service(name).is_enabled


def test_no_unit_has_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


@pytest.mark.parametrize("port", LOOPBACK)
def test_port_listens_on_loopback_only(host: Host, port: int) -> None:
    sockets = host.check_output(f"ss --no-header --listening --tcp --numeric 'sport = {port}'").splitlines()
    assert [line.split()[3] for line in sockets] == [f"127.0.0.1:{port}"]


@pytest.mark.usefixtures("third")
def test_containers_are_published_on_loopback_only(host: Host) -> None:
    ports = host.check_output("docker ps --format '{{.Ports}}'").splitlines()
    assert [port.partition(":")[0] for port in ports] == ["127.0.0.1"] * 3


def test_other_machines_reach_only_the_service(host: Host) -> None:
    address = host.check_output("hostname --ip-address")
    socket.create_connection((address, PUBLIC), timeout=5).close()
    for port in LOOPBACK:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, port), timeout=5)


def test_runtime_socket_is_for_root_and_haproxy(host: Host) -> None:
    runtime = host.file("/run/haproxy/admin.sock")
    assert runtime.is_socket
    assert runtime.mode == 0o660
    assert runtime.user == "root"
    assert runtime.group in {"root", "haproxy"}


def test_unprivileged_user_cannot_use_the_runtime_socket(host: Host) -> None:
    program = "import socket; socket.socket(socket.AF_UNIX).connect('/run/haproxy/admin.sock')"
    assert "PermissionError" in host.run("runuser -u nobody -- python3 -c %s", program).stderr


@pytest.mark.parametrize(("path", "words"), [("/stats", "nodesrv"), ("/metrics", "haproxy_process_")])
def test_stats_and_metrics_answer(host: Host, path: str, words: str) -> None:
    [(status, text)] = get(host, f"http://127.0.0.1:8404{path}")
    assert status == 200
    assert words in text


def test_cron_runs_the_sync_under_a_lock(host: Host) -> None:
    line = host.file("/etc/cron.d/dockmaster")
    assert line.mode == 0o644
    assert line.user == "root"
    assert "flock -n" in line.content_string
    assert "dockmaster sync" in line.content_string


def test_every_running_container_answers(host: Host) -> None:
    running = host.check_output("docker ps --quiet --filter label=dockmaster.service=nodesrv").splitlines()
    assert set(containers(host)) == set(running)
