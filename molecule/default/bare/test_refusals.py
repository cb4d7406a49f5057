"""site.yml finds what cannot work, says it in one sentence, and changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://bookworm"]

OS_RELEASE = "/usr/lib/os-release"
SiteFails = Callable[..., str]


@pytest.fixture
def site_fails(host: Host, play: Callable[..., str]) -> SiteFails:
    """Run site.yml, which must fail before it changes anything, and return its output."""

    def run(**variables: object) -> str:
        output = play("site.yml", f"--extra-vars={json.dumps(variables)}", fails=True)
        assert re.search(r"changed=0 .* failed=1", output), output
        assert not host.file("/var/lib/dockmaster").exists
        return " ".join(output.split())

    return run


@pytest.fixture
def take_port(host: Host) -> Iterator[Callable[[int], None]]:
    """Let another program use a port."""

    def take(port: int) -> None:
        host.check_output("systemd-run --unit=port-taker --property=Type=exec python3 -m http.server %s", str(port))
        program = f"import socket,time\nwhile socket.socket().connect_ex(('127.0.0.1', {port})): time.sleep(0.1)"
        host.check_output("timeout 20 python3 -c %s", program)

    yield take
    host.check_output("systemctl stop port-taker")


@pytest.mark.parametrize(
    ("port", "variable"),
    [
        (8080, "dockmaster_services.nodesrv.haproxy.port"),
        (8404, "haproxy_stats_bind"),
        (4243, "docker_engine_api_port"),
    ],
)
def test_port_in_use_is_an_error(
    site_fails: SiteFails, take_port: Callable[[int], None], port: int, variable: str
) -> None:
    take_port(port)
    sentence = site_fails()
    assert variable in sentence
    assert re.search(rf"{port}.* taken by python3 \(process [0-9]+\)", sentence)


def test_api_off_loopback_is_an_error(site_fails: SiteFails) -> None:
    assert "docker_engine_api_address is 0.0.0.0, but a loopback address" in site_fails(
        docker_engine_api_address="0.0.0.0"
    )


def test_too_little_disk_space_is_an_error(site_fails: SiteFails) -> None:
    assert "at least 999999999 (docker_engine_minimum_free)" in site_fails(docker_engine_minimum_free="999999999")


def test_user_without_root_rights_is_an_error(site_fails: SiteFails) -> None:
    sentence = site_fails(ansible_user="nobody", ansible_remote_tmp="/tmp/nobody")
    assert "run as nobody" in sentence
    assert "needs root" in sentence


@pytest.fixture
def another_system(host: Host) -> Iterator[None]:
    """Make the host look like another system."""
    host.check_output(f"cp -a {OS_RELEASE} /root/os-release && mv /etc/debian_version /root/")
    host.check_output(f"printf 'NAME=Gentoo\\nID=gentoo\\n' > {OS_RELEASE}")
    yield
    host.check_output(f"mv /root/os-release {OS_RELEASE} && mv /root/debian_version /etc/")


@pytest.mark.usefixtures("another_system")
def test_system_that_is_not_like_debian_is_an_error(site_fails: SiteFails) -> None:
    assert "but Debian or a relative of it was expected" in site_fails()


def service(discovery: dict[str, Any] | None = None, **haproxy: object) -> dict[str, Any]:
    found = {"image_name": "local/nodeapp", "container_port": 8000, **(discovery or {})}
    return {"discovery": found, "haproxy": {"port": 8080, **haproxy}}


@pytest.mark.parametrize(
    ("services", "sentence"),
    [
        (
            {"nodesrv": service({"image_nmae": "local/nodeapp"})},
            "dockmaster_services.nodesrv.discovery.image_nmae: is not a key of this section; did you mean image_name?",
        ),
        (
            {"nodesrv": {"discovery": {"container_prt": 8000}}},
            "dockmaster_services.nodesrv.discovery.container_prt: is not a key of this section; did you mean "
            "container_port?",
        ),
        (
            {"nodesrv": service(port="8080")},
            "dockmaster_services.nodesrv.haproxy.port: '8080': expected a whole number from 1 to 65535",
        ),
        (
            {"nodesrv": service(listen="mode http")},
            "dockmaster_services.nodesrv.haproxy.listen: 'mode http': expected a list of lines",
        ),
        (
            {"nodesrv": service({"image_name": "local/node app"})},
            "dockmaster_services.nodesrv.discovery.image_name: 'local/node app': expected an image reference",
        ),
        ({"node srv": service()}, "dockmaster_services.node srv: 'node srv': expected a name"),
        (
            {"nodesrv": service(), "other": service()},
            "dockmaster_services.other.haproxy: *:8080 is also the address of services.nodesrv",
        ),
    ],
    ids=["key", "required key", "port", "listen", "image", "name", "address"],
)
def test_wrong_key_or_value_of_a_service_is_an_error(
    site_fails: SiteFails, services: dict[str, Any], sentence: str
) -> None:
    assert sentence in site_fails(dockmaster_services=services)


def test_image_of_no_application_is_a_warning(play: Callable[..., str]) -> None:
    services = {"nodesrv": service({"image_name": "local/nodeap"})}
    output = play("playbooks/preflight.yml", f"--extra-vars={json.dumps({'dockmaster_services': services})}")
    assert (
        "dockmaster_services.nodesrv.discovery.image_name: 'local/nodeap' is the image of no application; "
        "did you mean local/nodeapp?" in " ".join(output.split())
    )
