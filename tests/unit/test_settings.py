"""The configuration: that of Synapse is valid unchanged, and each wrong value is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dockmaster.config.file import load
from dockmaster.config.parse import parse
from dockmaster.config.settings import Identity
from dockmaster.errors import SettingsError

SEED = Path(__file__).parent / "data" / "synapse.json.conf"


def test_example_of_synapse_is_valid() -> None:
    settings = load(SEED)
    (service,) = settings.services
    assert service.name == "nodesrv"
    assert [server.url for server in service.discovery.servers] == ["tcp://localhost:4243"]
    assert service.proxy.bind == "localhost:8080"
    assert service.proxy.listen == ("mode http", "option httpchk /", "http-check expect string Hello")
    assert settings.haproxy.reload_command == "service haproxy reload"


def test_dropped_keywords_are_translated_with_a_note() -> None:
    settings = load(SEED)
    assert settings.haproxy.template["defaults"] == [
        "timeout connect 5000",
        "timeout client 50000",
        "timeout server 50000",
    ]
    assert len(settings.notes) == 3
    assert settings.notes[0] == (
        "haproxy.defaults[0]: 'contimeout 5000' is obsolete, written as 'timeout connect 5000'"
    )


def changed(path: str, value: object) -> dict[str, Any]:
    data: dict[str, Any] = {
        "services": {"web": {"discovery": {"container_port": 80}, "haproxy": {"port": 8080, "listen": []}}},
        "haproxy": {"global": [], "defaults": []},
    }
    at = data
    *above, last = path.split(".")
    for key in above:
        at = at[key]
    at[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("services.web.haproxy.port", "8080", "services.web.haproxy.port: '8080': expected a whole number"),
        ("services.web.haproxy.port", 70000, "services.web.haproxy.port: 70000: expected a whole number from 1 to"),
        ("services.web.haproxy.prot", 80, "services.web.haproxy.prot: is not a key of this section; did you mean port"),
        ("services.web.discovery.container_port", None, "services.web.discovery.container_port: is missing"),
        ("services.web.discovery.method", "dns", "services.web.discovery.method: 'dns': expected one of docker, base"),
        ("services.web.discovery.image_name", "a b", "image_name: 'a b': expected an image reference"),
        ("services.web.discovery.servers", {}, "services.web.discovery.servers: {}: expected a list"),
        ("services.web.discovery.servers", [{"host": "a b"}], "servers[0].host: 'a b': expected an IP address"),
        ("services.web.haproxy.listen", "mode http", "listen: 'mode http': expected a list of lines"),
        ("services.web.haproxy.listen", ["a\nb"], "services.web.haproxy.listen[0]: 'a\\nb': expected one line"),
        ("services.web.haproxy.bind_address", "a b", "bind_address: 'a b': expected one word"),
        ("services.we b", {"discovery": {"container_port": 80}}, "services.we b: 'we b': expected a name"),
        ("haproxy.timeouts", {"connect": "soon"}, "haproxy.timeouts.connect: 'soon': expected a time"),
        ("haproxy.config_file_path", "etc/x", "haproxy.config_file_path: 'etc/x': expected an absolute path"),
        ("haproxy.do_writes", "yes", "haproxy.do_writes: 'yes': expected true or false"),
        ("haproxy", [], "haproxy: []: expected keys with values"),
        ("servces", {}, "servces: is not a key of this section; did you mean services"),
    ],
)
def test_wrong_value_is_named_with_its_place(path: str, value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as error:
        parse(changed(path, value), "test")
    assert str(error.value).startswith("test: ")


def test_two_services_at_one_address_are_an_error_with_both_names() -> None:
    data = changed("services.other", {"discovery": {"container_port": 80}, "haproxy": {"port": 8080}})
    with pytest.raises(SettingsError, match=r"services\.other\.haproxy: localhost:8080 is also .* services\.web"):
        parse(data, "test")


def test_file_that_is_no_yaml_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yml"
    path.write_text("services:\n  - [\n")
    with pytest.raises(SettingsError, match=r"wrong\.yml: line 3: neither YAML nor JSON"):
        load(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yml: cannot be read: No such file"):
        load(tmp_path / "absent.yml")


def with_tls(server: dict[str, Any], **files: object) -> dict[str, Any]:
    data = changed("services.web.discovery", {"container_port": 80})
    names = ("ca_file", "certificate_file", "key_file")
    tls = {name: f"/etc/tls/{name}" for name in names} | files
    data["discovery"] = {"servers": [{"name": "app1", "host": "10.0.0.11", "port": 2376} | server]}
    if None not in tls.values():
        data["discovery"]["tls"] = tls
    return data


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ({}, None),
        ({"tls": False}, None),
        ({"tls": True}, "app1"),
        ({"tls": True, "tls_name": "app1.example"}, "app1.example"),
    ],
)
def test_docker_host_is_asked_over_tls_if_configured(server: dict[str, Any], name: str | None) -> None:
    (found,) = parse(with_tls(server), "test").docker_hosts.values()
    assert (found.tls and found.tls.name) == name
    if found.tls:
        assert found.tls.identity == Identity(
            *map(Path, ("/etc/tls/ca_file", "/etc/tls/certificate_file", "/etc/tls/key_file"))
        )


def test_docker_hosts_of_a_service_use_the_common_certificate_or_their_own() -> None:
    data = with_tls({"tls": True})
    own = data["services"]["web"]["discovery"]
    own["servers"] = [{"name": "own", "host": "10.0.0.12", "tls": True}]
    (found,) = parse(data, "test").docker_hosts.values()
    assert found.tls
    assert found.tls.identity.key_file == Path("/etc/tls/key_file")
    own["tls"] = {"ca_file": "/ca", "certificate_file": "/certificate", "key_file": "/key"}
    (found,) = parse(data, "test").docker_hosts.values()
    assert found.tls
    assert found.tls.identity.key_file == Path("/key")


@pytest.mark.parametrize(
    ("server", "files", "message"),
    [
        ({"tls": True}, {"ca_file": None}, "discovery.servers[0].tls: True: expected discovery.tls to say who we are"),
        ({"tls": "yes"}, {}, "discovery.servers[0].tls: 'yes': expected true or false"),
        ({"tls_name": "app1"}, {}, "discovery.servers[0].tls_name: 'app1': expected tls: true beside it"),
        (
            {"tls": True, "tls_name": "a b"},
            {},
            "discovery.servers[0].tls_name: 'a b': expected an IP address or a host",
        ),
        ({"tls": True, "name": "app:1"}, {}, "servers[0].name: 'app:1': expected tls_name as well"),
        ({}, {"key_file": "client.key"}, "discovery.tls.key_file: 'client.key': expected an absolute path"),
        ({}, {"keyfile": "/x"}, "discovery.tls.keyfile: is not a key of this section; did you mean key_file"),
    ],
)
def test_wrong_tls_setting_is_named_with_its_place(server: dict[str, Any], files: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        parse(with_tls(server, **files), "test")


def test_missing_tls_file_is_named() -> None:
    data = with_tls({"tls": True})
    del data["discovery"]["tls"]["key_file"]
    with pytest.raises(SettingsError, match=r"discovery\.tls\.key_file: is missing"):
        parse(data, "test")


def test_docker_host_has_the_same_tls_setting_in_all_services() -> None:
    data = with_tls({"tls": True})
    data["services"]["other"] = {
        "discovery": {"container_port": 80, "servers": [{"name": "app1", "host": "10.0.0.11", "port": 2376}]}
    }
    with pytest.raises(
        SettingsError, match=r"app1 is tcp://10\.0\.0\.11:2376, and .* by TLS as app1 .*expected one way"
    ):
        parse(data, "test")
