"""A server that a sync adds at run time equals the server that HAProxy reads from the file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TEMPLATE
from dockmaster import sync
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.haproxy import process
from dockmaster.haproxy.runtime import Runtime
from dockmaster.model.endpoint import Endpoint
from findings import finds
from server_values import Values, server_values
from waiting import until

QUICK = "inter 100ms"
PLAIN: dict[str, dict[str, Any]] = {
    "no-check": {},
    "check": {"server_options": f"check {QUICK}"},
    "rise-and-fall": {"server_options": f"check {QUICK} rise 4 fall 6"},
    "listen-defaults": {
        "server_options": "",
        "listen": ["mode http", f"default-server check {QUICK} rise 3 fall 4 weight 30", "default-server maxconn 20"],
    },
    "own-word-wins": {
        "server_options": f"check {QUICK} rise 1 weight 5",
        "listen": [f"default-server {QUICK} rise 3 weight 30"],
    },
    "split-defaults": {
        "server_options": "check",
        "listen": ["mode http"],
        "frontend": ["maxconn 100"],
        "backend": [f"default-server {QUICK} fall 5 maxconn 7 maxqueue 3"],
    },
    "limits": {"server_options": "minconn 2 maxconn 5 maxqueue 3 pool-max-conn 4 pool-purge-delay 7s"},
    "leastconn": {"server_options": f"check {QUICK} weight 17", "listen": ["balance leastconn"]},
    "slowstart": {"server_options": f"check {QUICK} slowstart 1ms"},
    "tls": {"server_options": "ssl verify none"},
    "checks-elsewhere": {"server_options": f"check {QUICK} port 9 addr 127.0.0.2"},
    "agent": {"server_options": f"check {QUICK} agent-check agent-port 9 agent-inter 100ms"},
    "at-start-only": {"server_options": f"init-addr last,none check {QUICK}"},
    "proxy-protocol": {"server_options": f"send-proxy-v2 check {QUICK}"},
    "placeholders": {"server_options": f"check {QUICK} port %{{port}} addr %{{host}}"},
    "http-check": {
        "server_options": f"check {QUICK}",
        "listen": ["mode http", "option httpchk GET /", "http-check expect status 200"],
    },
}
LABELS: dict[str, dict[str, Any]] = {
    "label-weight": {"weight": 7},
    "label-weight-none": {"weight": 0},
    "label-maxconn": {"maxconn": 9},
    "label-backup": {"backup": True},
    "ipv6": {"host": "::1"},
}
UP = "127.0.0.1"
DOWN = "127.0.0.3"
ROOM = 4096
STOPPED_OR_RUNNING = ("0", "2")


def services(port: int) -> dict[str, Any]:
    """Return a service for each way to write options."""
    found = {
        name: {
            "discovery": {"container_port": 8000, "servers": [{"host": "localhost"}]},
            "haproxy": {"listen": ["mode tcp"], "server_options": "", **options},
        }
        for name, options in {**PLAIN, **{name: {"server_options": f"check {QUICK}"} for name in LABELS}}.items()
    }
    found["split-defaults"]["haproxy"]["port"] = port
    return found


def endpoints(port: int) -> dict[str, list[Endpoint]]:
    """Return two endpoints for each service: one that is up and one that is down."""
    found = {
        name: [Endpoint("localhost", "a" * 64, UP, port), Endpoint("localhost", "b" * 64, DOWN, port)] for name in PLAIN
    }
    for name, label in LABELS.items():
        found[name] = [Endpoint("localhost", "a" * 64, **{"host": UP, "port": port, **label})]
    return found


def settled(values: dict[tuple[str, str], Values]) -> bool:
    """Whether every check has run, and no state is about to change."""
    return all(
        row["check_status"] != "INI"
        and "/" not in row["status"]
        and (row["srv_addr"] != DOWN or row["status"] in ("DOWN", "no check"))
        and row["srv_op_state"] in STOPPED_OR_RUNNING
        for row in values.values()
    )


def settled_values(runtime: Runtime) -> dict[tuple[str, str], Values]:
    """Return the values of the servers once they are settled."""
    found: dict[tuple[str, str], Values] = {}

    def look() -> bool:
        found.update(server_values(runtime.command))
        return settled(found)

    until(look)
    return found


Both = tuple[dict[tuple[str, str], Values], dict[tuple[str, str], Values]]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Return the values of the same servers added at run time and read from the file."""
    template = TEMPLATE.read_bytes().decode()
    with (
        tempfile.TemporaryDirectory(prefix="dm") as name,
        # Nothing accepts connections, so the queue needs room for all checks on a slow machine.
        socket.create_server((UP, 0), backlog=ROOM) as listener,
        socket.create_server(("::1", listener.getsockname()[1]), family=socket.AF_INET6, backlog=ROOM),
        socket.socket() as free,
    ):
        free.bind((UP, 0))
        port = listener.getsockname()[1]
        settings = parse(
            {
                "services": services(free.getsockname()[1]),
                "haproxy": {
                    "config_file_path": f"{name}/haproxy.cfg",
                    "pid_file": f"{name}/haproxy.pid",
                    "socket_file_path": f"{name}/haproxy.sock",
                    "state_file": f"{name}/last_known.json",
                    "run_directory": f"{name}/run",
                    "bind_address": UP,
                    "defaults": ["default-server fall 2 rise 2"],
                    "timeouts": {"connect": "1s", "client": "5s", "server": "5s", "check": "1s"},
                },
            },
            "test",
        )
        free.close()
        yield from compared(settings, template, endpoints(port))


def compared(settings: Settings, template: str, found: dict[str, list[Endpoint]]) -> Iterator[Both]:
    paths = settings.haproxy
    sync.run(settings, template, finds(settings, {}))
    command = [process.installed() or "haproxy", "-W", "-f", str(paths.config_file_path), "-p", str(paths.pid_file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as haproxy:
        try:
            until(lambda: Path(str(paths.socket_file_path)).exists() and process.running(paths))
            runtime = Runtime(str(paths.socket_file_path))
            applied = sync.run(settings, template, finds(settings, found)).applied
            assert (applied.action, applied.reason) == ("runtime", "")
            added, before = settled_values(runtime), runtime.info()["Pid"]
            process.reload(paths)
            # While there are two workers, either may answer.
            until(lambda: not Path(f"/proc/{before}").exists())
            yield added, settled_values(runtime)
        finally:
            os.kill(haproxy.pid, signal.SIGTERM)


@pytest.mark.parametrize("service", [*PLAIN, *LABELS])
def test_server_has_the_same_values_at_run_time_and_from_the_file(both: Both, service: str) -> None:
    added, of_file = ({key: row for key, row in one.items() if key[0] == service} for one in both)
    assert added
    assert added.keys() == of_file.keys()
    differ = [
        f"{server}: {name}: {value!r} at run time, {of_file[key][name]!r} from the file"
        for key, row in added.items()
        for name, value in row.items()
        for server in [key[1]]
        if of_file[key][name] != value
    ]
    assert not differ, "\n".join(differ)


def test_compared_values_show_every_option(both: Both) -> None:
    """The comparison would notice another weight, limit, check or port."""
    added = {service: row for (service, name), row in both[0].items() if name.startswith("a")}
    assert (added["listen-defaults"]["weight"], added["listen-defaults"]["slim"]) == ("30", "20")
    assert added["own-word-wins"]["weight"] == "5"
    assert (added["rise-and-fall"]["check_rise"], added["rise-and-fall"]["check_fall"]) == ("4", "6")
    assert (added["check"]["check_rise"], added["no-check"]["check_rise"]) == ("2", "")
    assert added["label-backup"]["bck"] == "1"
    assert added["label-maxconn"]["slim"] == "9"
    assert added["tls"]["srv_use_ssl"] == "1"
    assert added["limits"]["purge_delay"] == "7000"
    assert added["checks-elsewhere"]["srv_check_addr"] == "127.0.0.2"
    assert added["ipv6"]["srv_addr"] == "::1"
    assert added["agent"]["agent_status"] != ""
    assert {added[name]["status"] for name in ("check", "agent", "ipv6", "label-weight")} == {"UP"}
