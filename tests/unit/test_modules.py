"""The modules in real plays, on a host without the installed command."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_runs import play
from conftest import ROOT
from docker_api import SimulatedDocker, simulated_docker

SERVICES = {"web": {"discovery": {"image_name": "local/nodeapp", "container_port": 8000}}}
OWN_SERVERS = [{"name": "app1", "host": "192.0.2.1", "port": 2376, "tls": True, "tls_name": "app1.example"}]


@pytest.fixture
def api(recorded: list[dict[str, Any]]) -> Iterator[SimulatedDocker]:
    with simulated_docker() as served:
        served.containers = recorded
        yield served


def info(api: SimulatedDocker, **options: object) -> dict[str, Any]:
    arguments = {"services": SERVICES, "docker_host": f"tcp://127.0.0.1:{api.port}", **options}
    return {"docker_endpoints_info": arguments, "register": "found"}


def test_found_endpoints_are_typed_and_fill_a_template_of_the_user(api: SimulatedDocker, folder: Path) -> None:
    """A simulated API gives the recorded answers, and the real HAProxy checks the file."""
    own = folder / "own.cfg.j2"
    own.write_text(
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n"
        "listen web\n  bind 127.0.0.1:8080\n"
        "{% for one in found.endpoints.web %}\n"
        "  server {{ one.name }} {{ one.host }}:{{ one.port }} check\n"
        "{% endfor %}\n"
    )
    play(
        [
            info(api),
            # The configuration of the balancers can be used unchanged, even if a service has its own Docker hosts.
            info(api, services={"web": {"discovery": {**SERVICES["web"]["discovery"], "servers": OWN_SERVERS}}}),
            {
                "ansible.builtin.assert": {
                    "that": [
                        "found.endpoints.web | length == 7",
                        "found.endpoints.web[0].port | type_debug == 'int'",
                        "found.rejected | map(attribute='reason') | select('search', 'is not published') | length == 3",
                        "found.can_talk_to_docker",
                        "not found.changed",
                    ]
                }
            },
            {
                "ansible.builtin.template": {
                    "src": str(own),
                    "dest": str(folder / "own.cfg"),
                    "mode": "0644",
                    "validate": "/usr/sbin/haproxy -c -f %s",
                }
            },
        ],
        folder,
    )
    assert (folder / "own.cfg").read_text().count("  server ") == 7


def messages(tasks: list[dict[str, Any]], folder: Path) -> list[str]:
    """Run tasks that must fail in one play, and return their messages."""
    said = folder / "said"
    blocks = [
        {
            "block": [task, {"ansible.builtin.set_fact": {"said": "{{ said + ['it did not fail'] }}"}}],
            "rescue": [{"ansible.builtin.set_fact": {"said": "{{ said + [ansible_failed_result.msg] }}"}}],
        }
        for task in tasks
    ]
    keep = {"content": "{{ said | to_json }}", "dest": str(said), "mode": "0600"}
    play([*blocks, {"ansible.builtin.copy": keep}], folder, variables={"said": []})
    told: list[str] = json.loads(said.read_text())
    return told


def test_docker_endpoints_info_fails_in_one_sentence(api: SimulatedDocker, folder: Path) -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"name": "a b"}, "name: 'a b': expected a name"),
        ({"address": "a b"}, "address: 'a b': expected an IP address"),
        ({"docker_host": "tcp://127.0.0.1:1"}, "Docker host localhost (tcp://127.0.0.1:1) gave no usable answer"),
        ({"docker_host": "unix:///nonexistent.sock"}, "gave no usable answer: GET /version: No such file"),
        ({"services": {"web": {}}}, "services.web.discovery.container_port: is missing"),
    ]
    said = messages([info(api, **options) for options, _ in cases], folder)
    for message, (_, words) in zip(said, cases, strict=True):
        assert words in message
        assert "\n" not in message


def apply(plain: dict[str, Any], **options: object) -> dict[str, Any]:
    template = ROOT / "roles" / "haproxy" / "templates" / "haproxy.cfg.j2"
    text = "{{ lookup('ansible.builtin.file', '" + str(template) + "', rstrip=false) }}"
    return {"haproxy_sync": {**plain, "template": text, **options}}


def test_haproxy_sync_in_check_mode_shows_the_change_without_making_it(plain: dict[str, Any], folder: Path) -> None:
    endpoint = {"docker_host": "localhost", "container_id": "a" * 64, "host": "127.0.0.1", "port": 49153}
    output = play([apply(plain, endpoints={"web": [endpoint]})], folder, arguments=("--check", "--diff"))
    assert "+    server aaaaaaaaaaaa_49153 127.0.0.1:49153" in output
    assert "changed=1" in output
    assert not (folder / "haproxy.cfg").exists()


def test_haproxy_sync_changes_only_the_first_time(plain: dict[str, Any], folder: Path) -> None:
    output = play([apply(plain, endpoints={}), apply(plain, endpoints={})], folder)
    assert "ok=2    changed=1" in output


def test_haproxy_sync_fails_in_one_sentence_and_changes_nothing(plain: dict[str, Any], folder: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        (apply(plain, endpoints={"web": [{"port": 1}]}), "endpoints.web[0]: an endpoint lacks 'docker_host'"),
        (apply(plain, services={"a b": {}}, endpoints={}), "services.a b: 'a b': expected a name"),
        (apply(plain, template="{{ '{{ nothing }}' }}", endpoints={}), "'nothing' is undefined"),
        (apply(plain, template="no section", endpoints={}), "HAProxy refuses the new configuration"),
        ({"haproxy_sync": {"config": "/nonexistent.yml"}}, "/nonexistent.yml: cannot be read"),
    ]
    said = messages([task for task, _ in cases], folder)
    for message, (_, words) in zip(said, cases, strict=True):
        assert words in message
    assert not (folder / "haproxy.cfg").exists()


def test_modules_do_not_need_an_installed_engine(folder: Path) -> None:
    """Ansible ships the engine with the module."""
    play(
        [
            {
                "ansible.builtin.command": {"argv": ["/usr/bin/python3", "-c", "import dockmaster"]},
                "register": "imported",
                "changed_when": False,
                "failed_when": "'No module named' not in imported.stderr",
            }
        ],
        folder,
    )


def test_listeners_info_names_the_process_that_listens(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        port = taken.getsockname()[1]
        output = play(
            [
                {"listeners_info": {"ports": [port]}, "register": "found"},
                {"ansible.builtin.debug": {"msg": "{{ found.listeners | to_json }}"}},
            ],
            folder,
        )
        assert f'"pid": {os.getpid()}' in output
        assert f'"port": {port}' in output
        assert str(other.getsockname()[1]) not in output


def test_listeners_info_lists_every_port_if_none_is_named(folder: Path) -> None:
    with (
        socket.create_server(("127.0.0.2", 0)) as one,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as two,
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as three,
    ):
        output = play(
            [
                {"listeners_info": None, "register": "found"},
                {
                    "ansible.builtin.debug": {
                        "msg": "{% for one in found.listeners %}{{ one.port }} on {{ one.address }} {% endfor %}"
                    }
                },
            ],
            folder,
        )
        # Ansible wraps long lines.
        words = " ".join(output.split())
        for socket_of, address in ((one, "127.0.0.2"), (two, "::1"), (three, "::")):
            assert f"{socket_of.getsockname()[1]} on {address} " in words


def test_unreachable_docker_host_does_not_make_the_balancer_unreachable(plain: dict[str, Any], folder: Path) -> None:
    """Ansible takes a result ``unreachable`` for the host's own."""
    task = apply(plain, endpoints={}, unreachable_hosts=["app2"])
    output = play(
        [{**task, "register": "synced"}, {"ansible.builtin.debug": {"var": "synced.unreachable_sources"}}], folder
    )
    assert "unreachable=0" in output
    assert "app2 did not answer" in output
