"""Each key of Synapse's docker and haproxy sections works, or is an error that names a replacement."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from dockmaster import sync
from dockmaster.config.file import load
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.errors import SettingsError
from dockmaster.haproxy.servers import by_service
from dockmaster.haproxy.template import context, render
from dockmaster.model.endpoint import Endpoint
from findings import finds
from test_rendering import accepted

ONE = Endpoint("localhost", "1" * 64, "127.0.0.1", 49001, "app-1", "local/nodeapp")
TWO = Endpoint("localhost", "2" * 64, "127.0.0.1", 49002, "app-2", "local/nodeapp")


def settings(haproxy: dict[str, Any], top: dict[str, Any] | None = None, **service: Any) -> Settings:
    """Return a configuration with one service and this section haproxy."""
    one = {
        "discovery": {
            "container_port": 8000,
            "image_name": "local/nodeapp",
            "servers": [{"host": "localhost"}],
        },
        "haproxy": haproxy,
        **service,
    }
    times = ["timeout connect 1s", "timeout client 1s", "timeout server 1s"]
    return parse({"services": {"web": one}, "haproxy": {"defaults": times, **(top or {})}}, "test")


def text(wanted: Settings, template: str, *endpoints: Endpoint) -> str:
    return render(template, context(wanted, by_service(wanted, {"web": endpoints}), template))


def sections(rendered: str) -> dict[str, list[str]]:
    """Return the lines of each section by its first line."""
    found: dict[str, list[str]] = {}
    head = ""
    for line in rendered.splitlines():
        if line.startswith(" "):
            found[head].append(line.strip())
        elif line and not line.startswith("#"):
            head = line
            found[head] = []
    return found


@pytest.mark.parametrize(
    ("haproxy", "bind"),
    [
        ({"port": 8080}, "bind localhost:8080"),
        ({"port": 8080, "bind_address": "*"}, "bind *:8080"),
        ({"port": 8080, "bind_address": "127.0.0.1", "bind_options": "maxconn 10"}, "bind 127.0.0.1:8080 maxconn 10"),
        ({"port": None, "bind_address": "unix@/tmp/dm-web.sock"}, "bind unix@/tmp/dm-web.sock"),
    ],
)
def test_port_and_bind_address_are_written_in_all_forms(
    haproxy: dict[str, Any], bind: str, template: str, folder: Path
) -> None:
    rendered = text(settings(haproxy), template, ONE)
    assert bind in sections(rendered)["listen web"]
    accepted(rendered, folder)


def test_service_without_a_port_is_only_a_backend(template: str, folder: Path) -> None:
    rendered = text(settings({}, {"stats_bind": "127.0.0.1:8404"}), template, ONE)
    assert "backend web" in sections(rendered)
    assert "listen web" not in sections(rendered)
    accepted(rendered, folder)


def test_frontend_and_backend_lines_split_a_service_into_two_sections(template: str, folder: Path) -> None:
    haproxy = {
        "port": 8080,
        "listen": ["mode http", "option httpchk /", "http-check expect string Hello", "timeout client 7s"],
        "frontend": ["maxconn 50", "acl old path /old"],
        "backend": ["balance leastconn", "acl old path /older"],
        "backend_name": "web-servers",
    }
    rendered = text(settings(haproxy), template, ONE)
    found = sections(rendered)
    front, back = found["frontend web"], found["backend web-servers"]
    assert {"mode http", "maxconn 50", "acl old path /old", "timeout client 7s"} <= set(front)
    assert front[-1] == "default_backend web-servers"
    assert {"mode http", "option httpchk /", "http-check expect string Hello", "balance leastconn"} <= set(back)
    assert "acl old path /older" in back
    assert "acl old path /older" not in front
    accepted(rendered, folder)


@pytest.mark.parametrize(
    "line",
    [
        "retry-on conn-failure",
        "http-after-response set-header a b",
        "option tcp-check",
        "filter trace",
        "http-reuse safe",
    ],
)
def test_every_line_of_haproxy_configuration_is_kept(line: str, template: str) -> None:
    for haproxy in ({"port": 80, "listen": [line]}, {"port": 80, "listen": [line], "backend": ["balance first"]}):
        assert f"    {line}\n" in text(settings(haproxy), template)


def test_server_options_may_contain_the_name_of_the_server(template: str, folder: Path) -> None:
    rendered = text(settings({"port": 80, "server_options": "check port %{port} # %{name}"}), template, ONE)
    assert "server 111111111111_49001 127.0.0.1:49001 check port 49001 # 111111111111_49001" in rendered
    accepted(rendered, folder)


@pytest.mark.parametrize(
    ("order", "first"), [("asc", "111111111111"), ("desc", "222222222222"), ("no_shuffle", "111111111111")]
)
def test_backend_order_sorts_the_servers(order: str, first: str, template: str) -> None:
    rendered = text(settings({"port": 80, "backend_order": order}), template, TWO, ONE)
    servers = [line for line in rendered.splitlines() if line.startswith("    server ")]
    assert first in servers[0]


@pytest.mark.parametrize(
    ("method", "cookie"),
    [("name", "cookie 111111111111_49001"), ("hash", f"cookie {hashlib.sha1(b'111111111111_49001').hexdigest()}")],
)
def test_cookie_value_method_sets_the_cookies(method: str, cookie: str, template: str, folder: Path) -> None:
    haproxy = {"port": 80, "listen": ["mode http", "cookie SRV insert"], "cookie_value_method": method}
    rendered = text(settings(haproxy), template, ONE)
    assert cookie in rendered
    accepted(rendered, folder)


def test_shared_frontend_has_its_own_lines_and_those_of_services(template: str, folder: Path) -> None:
    rendered = text(
        settings(
            {"shared_frontend": ["acl web hdr_beg(host) -i web.", "use_backend web if web"], "listen": ["mode http"]},
            {"shared_frontend": ["mode http", "bind 127.0.0.1:8081"]},
        ),
        template,
        ONE,
    )
    assert sections(rendered)["frontend shared-frontend"] == [
        "mode http",
        "bind 127.0.0.1:8081",
        "acl web hdr_beg(host) -i web.",
        "use_backend web if web",
    ]
    assert "server 111111111111_49001" in " ".join(sections(rendered)["backend web"])
    accepted(rendered, folder)


def test_extra_sections_are_written_unchanged(template: str) -> None:
    extra = {"listen extra-stats :3212": ["mode http", "stats enable"]}
    rendered = text(settings({"port": 8080}, {"extra_sections": extra}), template)
    assert sections(rendered)["listen extra-stats :3212"] == ["mode http", "stats enable"]


def test_disabled_service_is_left_out() -> None:
    assert settings({"port": 80, "disabled": True}).services == ()


def passed(wanted: Settings, template: str, *found: Endpoint) -> list[str]:
    report = sync.run(wanted, template, finds(wanted, {"web": found}))
    return [one.address for one in report.endpoints["web"]]


def test_default_servers_serve_while_no_container_is_found(folder: Path, template: str) -> None:
    top = {"config_file_path": str(folder / "haproxy.cfg"), "state_file": str(folder / "state.json")}
    default = [{"name": "spare", "host": "127.0.0.9", "port": 80}]
    wanted = settings({"port": 8080}, top, default_servers=default)
    assert passed(wanted, template) == ["127.0.0.9:80"]
    assert "server spare 127.0.0.9:80" in (folder / "haproxy.cfg").read_text()
    assert passed(wanted, template, ONE) == ["127.0.0.1:49001"]
    kept = settings({"port": 8080}, top, default_servers=default, keep_default_servers=True)
    assert sorted(passed(kept, template, ONE)) == ["127.0.0.1:49001", "127.0.0.9:80"]


def test_method_base_has_default_servers_only(folder: Path, template: str) -> None:
    top = {"config_file_path": str(folder / "haproxy.cfg"), "state_file": str(folder / "state.json")}
    default = [{"host": "127.0.0.9", "port": 80}]
    wanted = settings({"port": 8080}, top, default_servers=default, discovery={"method": "base"})
    report = sync.run(wanted, template)
    assert [one.address for one in report.endpoints["web"]] == ["127.0.0.9:80"]


def test_use_previous_backends_keeps_the_last_servers(folder: Path, template: str) -> None:
    top = {"config_file_path": str(folder / "haproxy.cfg"), "state_file": str(folder / "state.json")}
    plain = settings({"port": 8080}, top)
    assert passed(plain, template, ONE) == ["127.0.0.1:49001"]
    kept = settings({"port": 8080}, top, use_previous_backends=True)
    assert passed(kept, template) == ["127.0.0.1:49001"]
    assert passed(kept, template) == ["127.0.0.1:49001"]
    assert passed(plain, template) == []


def test_backend_port_override_replaces_the_port() -> None:
    assert settings({}, backend_port_override=81).services[0].discovery.backend_port_override == 81


def test_do_writes_do_reloads_and_do_checks_switch_steps_off(folder: Path, template: str) -> None:
    top = {"config_file_path": str(folder / "haproxy.cfg"), "state_file": str(folder / "state.json")}
    passed(settings({"port": 8080}, {**top, "do_writes": False}), template, ONE)
    assert not (folder / "haproxy.cfg").exists()
    broken = {"port": 8080, "listen": ["no-such-keyword"]}
    passed(settings(broken, {**top, "do_checks": False, "do_reloads": False}), template, ONE)
    assert "no-such-keyword" in (folder / "haproxy.cfg").read_text()


def test_check_command_replaces_the_check(folder: Path, template: str) -> None:
    top = {"config_file_path": str(folder / "haproxy.cfg"), "state_file": str(folder / "state.json")}
    passed(settings({"port": 8080, "listen": ["no-such-keyword"]}, {**top, "check_command": "test -s"}), template, ONE)
    assert (folder / "haproxy.cfg").exists()


def test_reload_command_replaces_the_reload(folder: Path, template: str) -> None:
    (folder / "pid").write_text("1")
    top = {
        "config_file_path": str(folder / "haproxy.cfg"),
        "state_file": str(folder / "state.json"),
        "pid_file": str(folder / "pid"),
        "reload_command": f"touch {folder}/reloaded",
    }
    passed(settings({"port": 8080}, top), template, ONE)
    assert (folder / "reloaded").exists()


def test_file_output_writes_one_file_per_service(folder: Path, template: str) -> None:
    data = {
        "services": {"web": {"discovery": {"container_port": 1, "image_name": "a"}, "haproxy": {"port": 8080}}},
        "haproxy": {"config_file_path": str(folder / "haproxy.cfg"), "state_file": str(folder / "state.json")},
        "file_output": {"output_directory": str(folder / "out")},
    }
    passed(parse(data, "test"), template, ONE)
    (entry,) = json.loads((folder / "out" / "web.json").read_text())
    assert (entry["host"], entry["port"]) == ("127.0.0.1", 49001)


def test_service_conf_dir_is_read_one_file_per_service(folder: Path) -> None:
    services = folder / "services"
    services.mkdir()
    (services / "api.json").write_text('{"discovery": {"container_port": 1}, "haproxy": {"port": 81}}')
    path = folder / "main.yml"
    path.write_text(f"service_conf_dir: {services}\nservices: {{web: {{discovery: {{container_port: 1}}}}}}\n")
    assert [service.name for service in load(path).services] == ["web", "api"]
    (services / "web.yml").write_text("discovery: {container_port: 2}\n")
    with pytest.raises(SettingsError, match=r"web\.yml: the service web is also in .*main\.yml"):
        load(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"statsd": {}}, "statsd: is not supported; use HAProxy's Prometheus endpoint"),
        ({"haproxy": {"do_socket": True}}, "haproxy.do_socket: is not supported; use socket_file_path"),
        ({"haproxy": {"restart_interval": 2}}, "haproxy.restart_interval: is not supported; leave it out"),
        ({"services": {"a": {"leader_election": True}}}, "leader_election: is not supported; run the balancers"),
        (
            {"services": {"a": {"discovery": {"container_port": 1, "hosts": []}}}},
            "services.a.discovery.hosts: is not supported; use method docker",
        ),
    ],
)
def test_unsupported_key_is_an_error_that_names_a_replacement(data: dict[str, Any], words: str) -> None:
    for service in data.get("services", {}).values():
        service.setdefault("discovery", {"container_port": 1})
    with pytest.raises(SettingsError) as error:
        parse(data, "test")
    assert words in str(error.value)
