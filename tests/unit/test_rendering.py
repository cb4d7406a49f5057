"""The text of haproxy.cfg: the real HAProxy accepts it, and everything that writes it writes the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_runs import play
from conftest import ROOT, TEMPLATE
from dockmaster.config.file import load
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.errors import TemplateError
from dockmaster.haproxy import process
from dockmaster.haproxy.servers import by_service
from dockmaster.haproxy.template import context, render
from dockmaster.model.endpoint import Endpoint

SEED = Path(__file__).parent / "data" / "synapse.json.conf"
ENDPOINTS = [
    Endpoint("localhost", f"{number:x}" * 64, "127.0.0.1", 49000 + number, f"app-{number}", "local/nodeapp")
    for number in (3, 1, 2)
]
EVERYTHING = {
    "global": ["tune.bufsize 32768"],
    "defaults": ["balance leastconn"],
    "bind_address": "*",
    "maxconn": 1000,
    "fd_limit": 5000,
    "hard_stop_after": "10m",
    "client_tcp_timeout": "15m",
    "socket_file_path": "/tmp/dm.sock",
    "stats_bind": "127.0.0.1:8404",
    "timeouts": {"connect": "1s", "client": "50s", "server": "50s", "http-request": "10s", "tunnel": "1h"},
    "retries": 3,
    "redispatch": 1,
    "retry_on": ["conn-failure", "empty-response"],
    "retry_methods": ["GET", "HEAD"],
    "forwarded_for": True,
    "request_id_header": "X-Request-ID",
    "log": ["/dev/log local0 info", "ring@recent local0 info"],
    "log_format": '"%ci %ST %{+Q}r"',
}


def rendered(settings: Settings, template: str, endpoints: list[Endpoint]) -> str:
    names = [service.name for service in settings.services]
    return render(template, context(settings, by_service(settings, dict.fromkeys(names, endpoints)), template))


def accepted(text: str, folder: Path) -> None:
    """Fail with the errors and warnings of HAProxy if it does not accept the text."""
    path = folder / "candidate.cfg"
    path.write_text(text)
    done = subprocess.run(
        [process.installed() or "haproxy", "-c", "-V", "-f", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_haproxy_accepts_a_configuration_of_synapse(template: str, folder: Path) -> None:
    text = rendered(load(SEED), template, ENDPOINTS)
    accepted(text, folder)
    lines = [line.strip() for line in text.splitlines()]
    assert "option httpchk /" in lines
    assert "http-check expect string Hello" in lines
    assert "bind localhost:8080" in lines
    assert "server 111111111111_49001 127.0.0.1:49001 check inter 2s fall 2 rise 1" in lines


def test_haproxy_accepts_everything_that_the_role_can_set(plain: dict[str, Any], template: str, folder: Path) -> None:
    services = {**plain["services"], "tcp": {"discovery": {"container_port": 1}, "haproxy": {"port": 5432}}}
    services["behind"] = {"discovery": {"container_port": 1}, "haproxy": {"listen": ["mode http"]}}
    accepted(rendered(parse({"services": services, "haproxy": EVERYTHING}, "test"), template, ENDPOINTS), folder)


def test_haproxy_accepts_no_endpoints_and_no_services(plain: dict[str, Any], template: str, folder: Path) -> None:
    accepted(rendered(parse(plain, "test"), template, []), folder)
    accepted(rendered(parse({"haproxy": plain["haproxy"]}, "test"), template, []), folder)


def test_servers_are_sorted_and_the_file_ends_with_a_newline(settings: Settings, template: str) -> None:
    text = rendered(settings, template, ENDPOINTS)
    assert text == rendered(settings, template, ENDPOINTS[::-1])
    assert text.endswith("\n")
    assert text.index("49001") < text.index("49002") < text.index("49003")


def test_structure_does_not_depend_on_the_servers(plain: dict[str, Any], template: str) -> None:
    def structure(data: dict[str, Any], endpoints: list[Endpoint]) -> object:
        settings = parse(data, "test")
        return context(settings, by_service(settings, {"web": endpoints}), template)["structure"]

    assert structure(plain, []) == structure(plain, ENDPOINTS)
    assert structure(plain, []) != structure({**plain, "haproxy": {**plain["haproxy"], "retries": 1}}, [])


def test_error_in_the_template_has_its_line(settings: Settings) -> None:
    with pytest.raises(TemplateError, match="the template, line 2: Expected an expression"):
        rendered(settings, "global\n{% if %}\n", [])


def test_engine_module_and_template_write_the_same_bytes(
    plain: dict[str, Any], settings: Settings, template: str, folder: Path
) -> None:
    """Compares the engine, the module and Ansible's template module. The command has its own test."""
    values = context(settings, by_service(settings, {"web": ENDPOINTS}), template)
    (folder / "values.json").write_text(json.dumps(values))
    (folder / "plain.json").write_text(json.dumps(plain))
    play(
        [
            {
                "name": "Through Ansible's template",
                "ansible.builtin.template": {"src": str(TEMPLATE), "dest": str(folder / "ansible"), "mode": "0644"},
                "vars": values,
            },
            {
                "name": "Through the module",
                "haproxy_sync": {
                    **plain,
                    "template": "{{ lookup('ansible.builtin.file', '" + str(TEMPLATE) + "', rstrip=false) }}",
                    "endpoints": {"web": [endpoint.as_dict() for endpoint in ENDPOINTS]},
                },
            },
        ],
        folder,
    )
    engine = render(template, values).encode()
    assert (folder / "ansible").read_bytes() == engine
    assert (folder / "haproxy.cfg").read_bytes() == engine


def test_haproxy_accepts_the_file_of_the_role_defaults(template: str, folder: Path) -> None:
    """The engine knows every key that the role publishes."""
    role = ROOT / "roles" / "haproxy"
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    tasks = yaml.safe_load((role / "tasks" / "settings.yml").read_text())
    play(
        [
            *tasks,
            {
                "name": "Write it",
                "ansible.builtin.copy": {
                    "content": "{{ {'haproxy': haproxy_settings} | to_json }}",
                    "dest": str(folder / "settings.json"),
                    "mode": "0644",
                },
            },
        ],
        folder,
        variables={**defaults, "haproxy_template": str(TEMPLATE)},
    )
    accepted(rendered(load(folder / "settings.json"), template, []), folder)
