"""Behaviour of HAProxy 3.0, and errors that no real HAProxy returns on demand, with a scripted runtime socket."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from dockmaster import sync
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.haproxy import apply as applying
from dockmaster.haproxy import process
from dockmaster.haproxy.apply import Plan
from dockmaster.model.endpoint import Endpoint
from findings import finds
from scripted_haproxy import ScriptedHAProxy, scripted_haproxy


def endpoint(number: int) -> Endpoint:
    return Endpoint("localhost", f"{number:x}" * 64, "127.0.0.1", 49000 + number)


def name(number: int) -> str:
    return endpoint(number).server_name(with_host=False)


@pytest.fixture
def settings(plain: dict[str, Any]) -> Settings:
    """Let HAProxy count as running: this process is its master, and gets no signal."""
    plain["services"]["web"]["haproxy"]["server_options"] = ""
    plain["haproxy"]["dead_servers"] = 1
    plain["haproxy"]["reload_command"] = "/bin/false"
    settings = parse(plain, "test")
    settings.haproxy.pid_file.write_text(f"{os.getpid()}\n")
    return settings


@pytest.fixture
def haproxy(settings: Settings, template: str) -> Iterator[ScriptedHAProxy]:
    with scripted_haproxy(settings.haproxy.config_file_path.with_name("haproxy.sock")) as scripted:
        report = sync.run(settings, template, finds(settings, {}), check_mode=True)
        found = re.search(r'description "dockmaster (\w+)"', report.applied.after)
        assert found
        scripted.structure = found[1]
        settings.haproxy.config_file_path.write_text(report.applied.after)
        yield scripted


def make(settings: Settings, template: str, *endpoints: Endpoint) -> sync.Report:
    return sync.run(settings, template, finds(settings, {"web": endpoints}))


def test_scripted_haproxy_with_wait_gets_dead_servers_deleted(
    settings: Settings, template: str, haproxy: ScriptedHAProxy
) -> None:
    make(settings, template, *map(endpoint, (1, 2, 3)))
    make(settings, template)
    assert set(haproxy.servers.values()) == {"maint"}
    done = make(settings, template).applied
    assert ({change.kind for change in done.changes}, done.reason) == ({"deleted"}, "")
    assert haproxy.servers == {}
    assert make(settings, template).applied.action == "none"


def test_scripted_refusal_to_delete_is_no_error_and_is_retried(
    settings: Settings, template: str, haproxy: ScriptedHAProxy
) -> None:
    make(settings, template, endpoint(1))
    make(settings, template)
    haproxy.answers["del server"] = "Server still has connections attached to it, cannot remove it.\n"
    assert make(settings, template).applied.action == "none"
    assert set(haproxy.servers.values()) == {"maint"}
    haproxy.answers.clear()
    make(settings, template)
    assert haproxy.servers == {}


def test_scripted_haproxy_without_wait_is_never_asked_to_delete(
    settings: Settings, template: str, haproxy: ScriptedHAProxy
) -> None:
    haproxy.help = "".join(line for line in haproxy.help.splitlines(keepends=True) if "wait" not in line)
    make(settings, template, endpoint(1))
    make(settings, template)
    assert make(settings, template).applied.action == "none"
    assert not [command for command in haproxy.commands if command.startswith("del")]


def planned(settings: Settings, template: str, *endpoints: Endpoint) -> Plan:
    """Return what a sync would do."""
    applied = sync.run(settings, template, finds(settings, {"web": endpoints}), check_mode=True).applied
    return Plan(applied.action, applied.before, applied.changes, applied.reason)


def test_scripted_haproxy_that_cannot_add_servers_is_reloaded(
    settings: Settings, template: str, haproxy: ScriptedHAProxy
) -> None:
    haproxy.help = "show info\nset server\n"
    plan = planned(settings, template, endpoint(1))
    assert (plan.action, plan.reason) == (applying.RELOAD, "this HAProxy cannot add a server at run time")


def test_scripted_refusal_of_one_server_is_a_reload_with_its_reason(
    settings: Settings, template: str, haproxy: ScriptedHAProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads: list[Settings] = []
    monkeypatch.setattr(process, "reload", reloads.append)
    haproxy.answers[f"add server web/{name(2)}"] = "'weight' : invalid value.\n"
    applied = make(settings, template, endpoint(1), endpoint(2)).applied
    assert applied.action == "reload"
    assert "'weight' : invalid value." in applied.reason
    assert len(reloads) == 1
    assert f"server {name(2)} " in settings.haproxy.config_file_path.read_text()
