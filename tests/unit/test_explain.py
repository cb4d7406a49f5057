"""``dockmaster explain``: why something gets traffic or none, on a real HAProxy; Docker is simulated."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import TEMPLATE, Run
from dockmaster import cli, drain, explain
from dockmaster.drain import Target
from dockmaster.explain import Explanation, NothingFound
from dockmaster.report.explanation import text
from dockmaster.state import stopping
from dockmaster.traffic import RULES
from waiting import until
from watching import Start, Watched, container_id
from web_server import WebServer

WELL, NOT_FOUND, WRONG, LOOK = 0, 1, 2, 5


def one(around: Watched, name: str) -> Explanation:
    """The only server of that name; its steps are the rules up to the one that decided."""
    (found,) = explain.of(around.settings, name).servers
    assert [step.rule for step in found.steps] == [rule.name for rule in RULES[: len(found.steps)]]
    assert [step.decides for step in found.steps] == [*[False] * (len(found.steps) - 1), True]
    assert all(step.fact and step.question for step in found.steps)
    assert found.gets_traffic == (not found.to_change)
    return found


def fact(explained: Explanation) -> str:
    """The fact that decided."""
    return explained.steps[-1].fact


def is_known(around: Watched, name: str) -> bool:
    """Whether something is called so."""
    try:
        return bool(explain.of(around.settings, name).servers)
    except NothingFound:
        return False


def status_of(around: Watched, name: str) -> int:
    """The command's exit status."""
    return cli.main(["explain", "--config", str(around.file), name])


@contextmanager
def request_under_way(around: Watched, web: WebServer) -> Iterator[None]:
    """A request of a client that a web server, the only one that serves, answers at the end."""
    web.held.clear()
    client = threading.Thread(target=around.ask)
    client.start()
    try:
        until(lambda: web.served)
        yield
    finally:
        web.held.set()
        client.join(20)


@pytest.fixture
def serving(around: Watched, start_haproxy: Start) -> Watched:
    """Two containers get traffic, by a sync; nobody watches."""
    for number in (1, 2):
        around.run(number)
    around.first_pass()
    start_haproxy()
    around.up(1, 2)
    return around


@pytest.mark.parametrize(
    "name", ["web-1", "localhost/web-1", "010101010101", "0101", "{server}", "web/{server}", "{address}"]
)
def test_each_name_of_a_healthy_container_finds_its_server(serving: Watched, name: str) -> None:
    (server,) = serving.servers(1)
    found = one(serving, name.format(server=server.name, address=server.address))
    assert (found.server, found.address, found.container) == (server.name, server.address, "web-1")
    assert (found.gets_traffic, found.wanted) == (True, "serve")
    assert found.reason == "its container runs and is healthy"
    assert found.haproxy.startswith("HAProxy: UP, told ready")
    assert "localhost's list at" in found.steps[0].fact


@pytest.mark.parametrize("name", ["web", "localhost"])
def test_a_service_and_a_host_are_all_of_their_servers(
    serving: Watched, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [server.container for server in explain.of(serving.settings, name).servers] == ["web-1", "web-2"]
    assert status_of(serving, name) == WELL
    said = capsys.readouterr().out
    assert said.count(" gets traffic: its container runs and is healthy.\n") == 2
    assert said.count("  => Is it healthy? yes.\n") == 2


def test_json_is_what_is_said_and_whether_all_of_it_serves(
    serving: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explain", "--config", str(serving.file), "web-1", "--json"]) == WELL
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said == explain.of(serving.settings, "web-1").as_dict() | {"servers": said["servers"]}
    assert said["all_serve"]
    (server,) = said["servers"]
    assert (server["container"], server["wanted"], server["gets_traffic"]) == ("web-1", "serve", True)
    assert server["steps"][-1] == {"rule": "healthy", "question": "Is it healthy?", "fact": "yes", "decides": True}


def test_an_unknown_name_is_one_sentence_and_status_1(serving: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(serving, "web-9") == NOT_FOUND
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"dockmaster: web-9: no server, container, .* none of the services \(web\).*\n", said.err)


def test_three_digits_are_no_id(serving: Watched) -> None:
    with pytest.raises(NothingFound):
        explain.of(serving.settings, "010")


def test_the_installed_command_explains(run: Run, serving: Watched) -> None:
    done = run("explain", "--config", serving.file, "web-1")
    assert (done.returncode, done.stderr) == (WELL, "")
    assert "gets traffic" in done.stdout
    assert run("explain", "--config", serving.file, "web-9").returncode == NOT_FOUND
    assert run("explain", "--config", serving.file).returncode == WRONG


def test_a_wrong_configuration_is_status_2(serving: Watched) -> None:
    serving.file.write_text("services: 5\n")
    assert status_of(serving, "web") == WRONG


@pytest.mark.parametrize(("kind", "name"), [("container", "web-1"), ("host", "localhost")])
def test_a_drained_one_says_who_drained_it_and_by_which_command_it_is_ready(
    serving: Watched, template: str, kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "host":
        # A host whose containers are the last ones is not drained.
        spare = serving.web()
        serving.service["default_servers"] = [{"name": "spare", "host": "127.0.0.1", "port": spare.port}]
        serving.service["keep_default_servers"] = True
        serving.first_pass()
        until(lambda: serving.runtime.usable_servers("web") == 3)
    drain.drain(serving.settings, template, Target.named(kind, name))
    found = one(serving, "web-1")
    assert (found.gets_traffic, found.wanted, found.steps[-1].rule) == (False, "drain", "drained")
    assert f"is drained, by {drain.who()} at 20" in found.reason
    assert status_of(serving, "web-1") == LOOK
    said = capsys.readouterr().out
    (command,) = re.findall(r"To change that: make it ready: `dockmaster (.*)`\.", said)
    config = ["--config", str(serving.file), "--template", str(TEMPLATE)]
    assert cli.main([*shlex.split(command), *config, "--wait", "10"]) == WELL
    assert one(serving, "web-1").gets_traffic


def test_a_stopping_one(watching: Watched) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    until(lambda: stopping.load(watching.settings.haproxy.run_directory, 30))
    found = one(watching, "web-1")
    assert (found.gets_traffic, found.wanted, found.steps[-1].rule) == (False, "drain", "better")
    assert found.reason == "its container is stopping, and a better server is usable"
    assert found.steps[2].fact == "no: it was sent a signal that stops it"
    assert status_of(watching, "web-1") == LOOK


@pytest.mark.parametrize(
    ("shown", "words", "to_change"),
    [
        ({"status": "Up 2 seconds (unhealthy)"}, "its container is unhealthy", "health check in Docker"),
        ({"state": "paused", "status": "Up 2 seconds (Paused)"}, "its container is paused", "unpause it"),
    ],
    ids=["unhealthy", "paused"],
)
def test_one_beside_a_healthy_one(serving: Watched, shown: dict[str, str], words: str, to_change: str) -> None:
    (server,) = serving.servers(1)
    web = serving.web()
    web.port = server.port
    serving.run(1, web, **shown)
    serving.sync()
    found = one(serving, "web-1")
    assert (found.gets_traffic, found.wanted, found.steps[-1].rule) == (False, "drain", "better")
    assert found.reason == f"{words}, and a better server is usable"
    assert fact(found) == "HAProxy's best usable server is healthy"
    assert to_change in found.to_change
    assert one(serving, "web-2").gets_traffic
    assert status_of(serving, "web-1") == LOOK
    assert status_of(serving, "web-2") == WELL


def test_the_last_unhealthy_one_serves_and_is_told_why(serving: Watched) -> None:
    for raw in serving.api.containers:
        raw["Status"] = "Up 2 seconds (unhealthy)"
    serving.sync()
    found = one(serving, "web-1")
    assert (found.gets_traffic, found.steps[-1].rule) == (True, "last")
    assert found.reason == "its container is unhealthy, and no better server is usable"
    assert status_of(serving, "web-1") == WELL


def test_one_that_has_left_its_service_finishes_its_requests(around: Watched, start_haproxy: Start) -> None:
    around.service["discovery"]["container_name"] = "web-*"
    web = around.run(1)
    around.first_pass()
    start_haproxy()
    around.up(1)
    with request_under_way(around, web):
        around.run(2)
        around.sync()
        around.up(2)
        around.api.containers[0]["Names"] = ["/old-1"]
        around.sync()
        found = one(around, "web-1")
        assert (found.gets_traffic, found.wanted) == (False, "leave")
        assert found.reason == "it is not of the service any more, and a better server is usable"
        assert "select it again" in found.to_change
        assert " 1 sessions" in found.haproxy
        assert status_of(around, "web-1") == LOOK
    # One sync takes it out, and the next one has no more reason to remember it.
    until(lambda: around.sync() and not is_known(around, "web-1"))
    assert around.told(1) in ("", "maint")


@pytest.mark.parametrize("name", ["web-3", "localhost/web-3", container_id(3)[:12], container_id(3)])
def test_a_rejected_one_says_why_it_cannot_serve(
    serving: Watched, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    serving.run(3)
    serving.api.containers[-1]["Ports"] = []
    explained = explain.of(serving.settings, name)
    assert not explained.servers
    assert [rejection.service for rejection in explained.rejected] == ["web"]
    assert status_of(serving, name) == LOOK
    assert "gets no traffic: it is rejected for web: port 8000/tcp is not published" in capsys.readouterr().out


def test_a_rejected_one_is_told_beside_the_servers_of_its_service(serving: Watched) -> None:
    serving.run(3)
    serving.api.containers[-1]["Ports"] = []
    explained = explain.of(serving.settings, "web")
    assert ([len(explained.servers), len(explained.rejected)], explained.all_serve) == ([2, 1], False)


def test_one_whose_check_fails_is_wanted_and_gets_no_traffic(serving: Watched) -> None:
    web = serving.web()
    web.status = 500
    serving.run(3, web)
    serving.sync()
    until(lambda: [server.status for server in serving.servers(3)] == ["DOWN"])
    found = one(serving, "web-3")
    assert (found.gets_traffic, found.wanted, found.steps[-1].rule) == (False, "serve", "healthy")
    assert "HAProxy's check has to pass (now DOWN)" in found.to_change
    assert status_of(serving, "web-3") == LOOK


def test_one_that_no_sync_has_put_in_force_yet_says_so(serving: Watched) -> None:
    serving.run(3)
    found = one(serving, "web-3")
    assert (found.gets_traffic, found.wanted, found.haproxy) == (False, "serve", "HAProxy has no such server")
    assert "the next sync" in found.to_change


def test_what_an_unreachable_host_said_last_counts_and_is_told_as_such(serving: Watched) -> None:
    serving.api.status = 500
    found = one(serving, "web-1")
    assert found.gets_traffic
    assert found.steps[0].fact.startswith("as last known, since localhost is unreachable: ")
    assert "status 500" in found.steps[0].fact
    assert status_of(serving, "localhost") == WELL


def test_without_haproxy_nothing_gets_traffic(around: Watched) -> None:
    around.run(1)
    around.first_pass()
    found = one(around, "web-1")
    assert (found.gets_traffic, found.haproxy) == (False, "HAProxy cannot be asked")
    assert "start HAProxy" in found.to_change
    assert status_of(around, "web-1") == LOOK


def test_a_server_that_is_gone_is_found_by_its_name(serving: Watched) -> None:
    (server,) = serving.servers(1)
    serving.gone(1)
    serving.sync()
    found = one(serving, server.name)
    assert (found.wanted, found.steps[-1].rule, fact(found)) == ("leave", "gone", "no: no source lists it")
    assert status_of(serving, server.name) == LOOK
    # HAProxy still has its name, and the service is well without it.
    assert [one.container for one in explain.of(serving.settings, "web").servers] == ["web-2"]
    assert status_of(serving, "web") == WELL


def test_a_default_server_says_which_configuration_has_it(around: Watched, start_haproxy: Start) -> None:
    spare = around.web()
    around.service["default_servers"] = [{"name": "spare", "host": "127.0.0.1", "port": spare.port}]
    around.first_pass()
    start_haproxy()
    until(lambda: around.runtime.usable_servers("web") == 1)
    found = one(around, "spare")
    assert (found.gets_traffic, found.steps[0].fact) == (True, f"yes: default_servers of {around.file}")
    around.run(1)
    around.sync()
    around.up(1)
    around.sync()
    found = one(around, "spare")
    assert (found.gets_traffic, found.wanted) == (False, "leave")
    assert found.reason == "it is a default server, and a better server is usable"
    assert "while no container does" in found.to_change
    # It stands by: the service is well without it.
    assert [server.container for server in explain.of(around.settings, "web").servers] == ["web-1"]
    assert status_of(around, "web") == WELL


def test_a_service_without_servers_is_no_unknown_name(around: Watched, start_haproxy: Start) -> None:
    around.first_pass()
    start_haproxy()
    explained = explain.of(around.settings, "web")
    assert text(explained) == "web has no servers: no source lists an endpoint of it"
