"""Whatever Docker answers, the real HAProxy accepts the file, and it has the wanted servers and nothing else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from conftest import TEMPLATE
from dockmaster.config.parse import parse
from dockmaster.haproxy.servers import by_service
from dockmaster.haproxy.template import context, render
from dockmaster.sources.docker.discovery import endpoints_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_rendering import accepted

KINDS = ["service", "port", "weight", "backup", "maxconn"]
DISCOVERY = {"container_port": 8000, "labels": KINDS, "servers": [{"host": "127.0.0.1"}]}
WANTED = parse(
    {
        "services": {
            "by-image": {"discovery": {**DISCOVERY, "image_name": "local/nodeapp"}, "haproxy": {"port": 18080}},
            "by-name": {"discovery": {**DISCOVERY, "container_name": "*"}, "haproxy": {"port": 18081}},
            "by-network": {
                "discovery": {**DISCOVERY, "network": "inner", "container_network": "inner"},
                "haproxy": {"port": 18082, "server_options": "check", "cookie_value_method": "name"},
            },
        },
        "haproxy": {"defaults": ["timeout connect 1s", "timeout client 1s", "timeout server 1s"]},
    },
    "test",
)
TEXT = TEMPLATE.read_bytes().decode()

evil = st.sampled_from(
    [
        "",
        "\n",
        "a\nserver x 1.2.3.4:80",
        '"',
        "'",
        "#",
        "${HOME}",
        "\x00",
        "ä",
        "\u2028",
        "%[env(HOME)]",
        "\\",
        "a b",
        " ",
    ]
) | st.text(max_size=30)
scalar = st.none() | st.booleans() | st.integers(-5, 70000) | st.floats(allow_nan=True) | evil
anything = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(evil, inner, max_size=3))
ids = st.text("0123456789abcdef", min_size=12, max_size=64) | evil
ports = st.fixed_dictionaries(
    {},
    optional={
        "IP": st.sampled_from(["", "0.0.0.0", "::", "127.0.0.1", "::1", "192.0.2.1", "fe80::1%eth0"]) | anything,
        "PrivatePort": st.just(8000) | st.integers(-1, 70000) | anything,
        "PublicPort": st.integers(-1, 70000) | anything,
        "Type": st.sampled_from(["tcp", "udp"]) | anything,
    },
)
labels = st.dictionaries(
    st.sampled_from([f"dockmaster.{kind}" for kind in KINDS]) | evil,
    st.sampled_from(["by-image", "by-name", "1", "256", "257", "true"]) | evil | anything,
    max_size=4,
)
networks = st.dictionaries(
    st.just("inner") | evil,
    st.fixed_dictionaries({}, optional={"IPAddress": st.just("10.0.0.1") | anything, "GlobalIPv6Address": anything})
    | anything,
    max_size=2,
)
entry = st.fixed_dictionaries(
    {"Id": ids},
    optional={
        "Names": st.lists(evil, max_size=2) | anything,
        "Image": st.just("local/nodeapp") | evil | anything,
        "State": st.just("running") | evil,
        "Status": st.sampled_from(["Up 1 second", "Up 1 second (healthy)"]) | evil,
        "Labels": labels | anything,
        "Ports": st.lists(ports, max_size=3) | anything,
        "HostConfig": st.fixed_dictionaries({"NetworkMode": st.sampled_from(["host", "default"]) | anything})
        | anything,
        "NetworkSettings": st.fixed_dictionaries({"Networks": networks | anything}) | anything,
    },
)
running = {"Id": "a" * 64, "State": "running", "Image": "local/nodeapp"}


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(entry | anything, max_size=5))
@example([{**running, "Ports": [{"IP": "fe80::1%eth0", "PrivatePort": 8000, "PublicPort": 1}]}])
@example([{**running, "Ports": [{"IP": "fe80::1%x\nserver y 1.2.3.4:80", "PrivatePort": 8000, "PublicPort": 1}]}])
@example([{**running, "Names": ["/a\nserver x 1.2.3.4:80"], "HostConfig": {"NetworkMode": "host"}}])
@example([{**running, "Id": "a" * 64}, {**running, "Id": "a" * 63 + "b", "HostConfig": {"NetworkMode": "host"}}])
def test_file_has_only_wanted_servers_whatever_docker_answers(listed: list[Any]) -> None:
    answer = json.loads(json.dumps(listed))
    selected = endpoints_of(WANTED.services, "localhost", "127.0.0.1", answer)
    endpoints, rejected = selected.endpoints, selected.rejected
    text = render(TEXT, context(WANTED, by_service(WANTED, endpoints), TEXT))
    without = render(TEXT, context(WANTED, by_service(WANTED, {}), TEXT))
    with tempfile.TemporaryDirectory(prefix="dm") as folder:
        accepted(text, Path(folder))
    servers = [line.split() for line in text.splitlines() if line.startswith("    server ")]
    assert sorted((words[1], words[2]) for words in servers) == sorted(
        (one.server_name(with_host=False), one.address) for found in endpoints.values() for one in found
    )
    rest = [line for line in text.splitlines() if not line.startswith("    server ")]
    assert rest == [line for line in without.splitlines() if not line.startswith("    server ")]
    assert all(len(rejection.reason) < 2000 for rejection in rejected)


@settings(max_examples=300, deadline=None)
@given(st.text() | st.binary().map(lambda data: data.decode(errors="replace")))
def test_hostile_list_is_at_most_a_rejection(text: str) -> None:
    selected = endpoints_of(WANTED.services, "localhost", "127.0.0.1", [text])
    endpoints, rejected = selected.endpoints, selected.rejected
    assert not any(endpoints.values())
    assert len(rejected) == 1
