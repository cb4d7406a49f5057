"""Change servers of a real HAProxy at run time, without a reload if possible."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dockmaster import sync
from dockmaster.config.parse import parse
from dockmaster.config.settings import Settings
from dockmaster.files import read_left
from dockmaster.haproxy.runtime import Runtime, ServerState
from dockmaster.model.endpoint import Endpoint
from dockmaster.state import changed_servers, drains
from dockmaster.state import stopping as draining
from findings import finds
from waiting import until

Start = Callable[[], None]


def endpoint(number: int, port: int = 49000, **more: Any) -> Endpoint:
    return Endpoint("localhost", f"{number:x}" * 64, "127.0.0.1", port + number, **more)


def name(number: int) -> str:
    return endpoint(number).server_name(with_host=False)


def make(
    settings: Settings, template: str, *endpoints: Endpoint, unhealthy: Sequence[Endpoint] = (), renew: bool = False
) -> sync.Report:
    found = finds(settings, {"web": endpoints}, {"web": unhealthy})
    return sync.run(settings, template, found, renew=renew)


def stopping(number: int) -> dict[tuple[str, str], draining.Stopping]:
    one = endpoint(number)
    return {("localhost", one.container_id): draining.Stopping(time.monotonic() + 30, frozenset({one.port}))}


def runtime(settings: Settings) -> Runtime:
    return Runtime(str(settings.haproxy.socket_file_path))


def state(settings: Settings, number: int) -> ServerState:
    return next(one for one in runtime(settings).servers() if one.name == name(number))


def done(report: sync.Report) -> list[tuple[str, str]]:
    return [(change.kind, change.server[1]) for change in report.applied.changes]


def with_options(plain: dict[str, Any], options: str) -> Settings:
    plain["services"]["web"]["haproxy"]["server_options"] = options
    return parse(plain, "test")


def two(plain: dict[str, Any], template: str, start_haproxy: Start) -> Settings:
    """Start HAProxy with two servers without checks."""
    settings = with_options(plain, "")
    make(settings, template, endpoint(1), endpoint(2))
    start_haproxy()
    return settings


@contextmanager
def open_request(port: int, waiting: socket.socket) -> Iterator[socket.socket]:
    """Send a request that the server does not answer during the block."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        waiting.settimeout(10)
        server, _ = waiting.accept()
        with server:
            server.settimeout(10)
            assert server.recv(65536)
            yield client


def test_server_is_added_drained_removed_and_readied(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = with_options(plain, "")
    make(settings, template, endpoint(1))
    start_haproxy()
    assert done(make(settings, template, endpoint(1), endpoint(2))) == [("added", name(2))]
    assert state(settings, 2).usable
    # It has no open requests, so it is removed at once.
    assert done(make(settings, template, endpoint(1))) == [("drained", name(2)), ("removed", name(2))]
    assert state(settings, 2).admin == "maint"
    assert done(make(settings, template, endpoint(1), endpoint(2))) == [("readied", name(2))]
    assert state(settings, 2).usable
    assert f"server {name(2)} " in settings.haproxy.config_file_path.read_text()


def test_new_server_gets_no_traffic_before_its_check_passes(
    settings: Settings, template: str, start_haproxy: Start
) -> None:
    make(settings, template)
    start_haproxy()
    make(settings, template, endpoint(1))
    assert (state(settings, 1).admin, state(settings, 1).status) == ("ready", "DOWN")


def test_server_serves_until_the_check_of_its_replacement_passes(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    plain["services"]["web"]["haproxy"]["listen"] = ["mode tcp"]
    settings = with_options(plain, "check inter 50ms fall 2 rise 1")
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        one, two = (
            Endpoint("localhost", letter * 64, "127.0.0.1", listener.getsockname()[1])
            for letter, listener in (("a", first), ("b", second))
        )
        old, new = (endpoint.server_name(with_host=False) for endpoint in (one, two))
        make(settings, template, one)
        start_haproxy()
        until(lambda: runtime(settings).usable_servers("web") == 1)
        assert done(make(settings, template, two)) == [("added", new)]
        assert {one.name: one.admin for one in runtime(settings).servers()} == {old: "ready", new: "ready"}
        until(lambda: runtime(settings).usable_servers("web") == 2)
        assert done(make(settings, template, two)) == [("drained", old), ("removed", old)]


def test_drained_server_finishes_its_requests_before_it_is_removed(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = with_options(plain, "")
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        slow = Endpoint("localhost", "a" * 64, "127.0.0.1", waiting.getsockname()[1])
        make(settings, template, slow)
        start_haproxy()
        with open_request(plain["services"]["web"]["haproxy"]["port"], waiting):
            make(settings, template)
            assert [one.admin for one in runtime(settings).servers()] == ["drain"]
            assert make(settings, template).applied.action == "none"
            assert [one.sessions for one in runtime(settings).servers()] == [1]
        until(lambda: runtime(settings).servers()[0].sessions == 0)
        assert done(make(settings, template)) == [("removed", slow.server_name(with_host=False))]


def test_drain_timeout_removes_a_server_and_cuts_no_request(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    plain["haproxy"]["drain_timeout"] = 1
    settings = with_options(plain, "")
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        slow = Endpoint("localhost", "a" * 64, "127.0.0.1", waiting.getsockname()[1])
        make(settings, template, slow)
        start_haproxy()
        until(lambda: runtime(settings).servers()[0].since > 1)
        with open_request(plain["services"]["web"]["haproxy"]["port"], waiting) as client:
            make(settings, template)
            assert runtime(settings).servers()[0].admin == "drain"
            until(lambda: make(settings, template).applied.changes)
            assert runtime(settings).servers()[0].admin == "maint"
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_server_moves_to_another_address(plain: dict[str, Any], template: str, start_haproxy: Start) -> None:
    """A default server keeps its name when its address changes."""
    plain["services"]["web"]["default_servers"] = [{"name": "last", "host": "127.0.0.1", "port": 49001}]
    settings = with_options(plain, "")
    make(settings, template)
    start_haproxy()
    for host, port in (("127.0.0.2", 49002), ("::1", 49002), ("::1", 49003)):
        plain["services"]["web"]["default_servers"][0].update(host=host, port=port)
        moved = parse(plain, "test")
        assert done(make(moved, template)) == [("readied", "last")]
        server = runtime(settings).servers()[0]
        assert (server.host, server.port, server.usable) == (host, port, True)
        assert make(moved, template).applied.action == "none"


@pytest.mark.parametrize(
    ("haproxy", "reason"),
    [
        ({"server_options": 'check sni str("web") ssl verify none'}, "its options can only be read from the file"),
        (
            {"cookie_value_method": "name", "listen": ["mode http", "cookie S insert"]},
            "'cookie' option is not accepted",
        ),
        ({"listen": ["mode http", "balance source"]}, "backend must use consistent hashing|[Dd]ynamic"),
        ({"server_options": "check no-check"}, "'no-check' option is not accepted"),
    ],
)
def test_change_that_needs_the_file_is_one_reload_with_a_reason(
    plain: dict[str, Any], template: str, start_haproxy: Start, haproxy: dict[str, Any], reason: str
) -> None:
    plain["services"]["web"]["haproxy"].update(haproxy)
    settings = parse(plain, "test")
    make(settings, template)
    start_haproxy()
    applied = make(settings, template, endpoint(1)).applied
    assert applied.action == "reload"
    assert re.search(reason, applied.reason)
    assert make(settings, template, endpoint(1)).applied.action == "none"
    # Draining needs no reload.
    assert make(settings, template).applied.action == "runtime"


def test_too_many_dead_servers_are_dropped_by_one_reload(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    plain["haproxy"]["dead_servers"] = 2
    settings = with_options(plain, "")
    make(settings, template)
    start_haproxy()
    make(settings, template, *map(endpoint, range(1, 5)))
    assert make(settings, template, endpoint(1)).applied.action == "runtime"
    applied = make(settings, template, endpoint(1)).applied
    assert (applied.action, applied.reason) == ("reload", "3 servers that are gone are dropped")
    assert [one.name for one in runtime(settings).servers()] == [name(1)]
    assert make(settings, template, endpoint(1)).applied.action == "none"


def test_last_usable_server_serves_though_it_is_unhealthy(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = with_options(plain, "")
    make(settings, template, endpoint(1), endpoint(2))
    start_haproxy()
    report = make(settings, template, endpoint(1), unhealthy=[endpoint(2)])
    assert (done(report), report.last_usable) == ([("drained", name(2))], [])
    assert state(settings, 2).admin == "drain"
    report = make(settings, template, unhealthy=[endpoint(1), endpoint(2)])
    # No container is healthy, so all whose checks pass serve.
    assert (done(report), report.last_usable) == ([("readied", name(2))], [f"web/{name(1)}", f"web/{name(2)}"])
    assert make(settings, template, unhealthy=[endpoint(1), endpoint(2)]).applied.action == "none"
    assert done(make(settings, template, endpoint(2), unhealthy=[endpoint(1)])) == [("drained", name(1))]


def test_unhealthy_server_is_drained_and_not_removed(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = with_options(plain, "")
    make(settings, template, endpoint(1), endpoint(2))
    start_haproxy()
    for _ in range(3):
        make(settings, template, endpoint(1), unhealthy=[endpoint(2)])
        assert state(settings, 2).admin == "drain"


def test_sync_drains_a_stopping_container(plain: dict[str, Any], template: str, start_haproxy: Start) -> None:
    settings = two(plain, template, start_haproxy)
    run = settings.haproxy.run_directory
    draining.save(run, stopping(2))
    assert done(make(settings, template, endpoint(1), endpoint(2))) == [("drained", name(2))]
    assert make(settings, template, endpoint(1), endpoint(2)).applied.action == "none"
    draining.save(run, {})
    assert done(make(settings, template, endpoint(1), endpoint(2))) == [("readied", name(2))]


def test_stopping_container_with_a_new_port_has_started_again(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = two(plain, template, start_haproxy)
    draining.save(settings.haproxy.run_directory, stopping(2))
    again = endpoint(2, port=50000)
    assert ("added", again.server_name(with_host=False)) in done(make(settings, template, endpoint(1), again))


def test_sync_readies_an_unhealthy_server_when_the_last_other_is_gone(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = two(plain, template, start_haproxy)
    draining.save(settings.haproxy.run_directory, stopping(2))
    make(settings, template, endpoint(1), endpoint(2))
    runtime(settings).change([f"set server web/{name(1)} state maint"])
    report = make(settings, template, endpoint(2))
    assert done(report) == [("readied", name(2))]
    assert report.last_usable == [f"web/{name(2)}"]
    # It serves as long as there is no other.
    assert ("drained", name(2)) in done(make(settings, template, endpoint(1), endpoint(2))) + done(
        make(settings, template, endpoint(1), endpoint(2))
    )


def test_drained_server_stays_drained_even_if_no_other_is_usable(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = two(plain, template, start_haproxy)
    drains.save(drains.file_of(settings.haproxy), (drains.Drain("localhost", endpoint(2).container_id),))
    make(settings, template, endpoint(1), endpoint(2))
    runtime(settings).change([f"set server web/{name(1)} state maint"])
    assert make(settings, template, endpoint(2)).last_usable == []
    assert state(settings, 2).admin == "drain"


@pytest.mark.parametrize("told", ["maint", "drain"])
def test_healthy_server_taken_out_by_hand_is_readied(
    plain: dict[str, Any], template: str, start_haproxy: Start, told: str
) -> None:
    settings = with_options(plain, "")
    make(settings, template, endpoint(1))
    start_haproxy()
    runtime(settings).change([f"set server web/{name(1)} state {told}"])
    assert done(make(settings, template, endpoint(1))) == [("readied", name(1))]
    assert state(settings, 1).usable


def test_sections_of_the_operator_are_left_alone(plain: dict[str, Any], template: str, start_haproxy: Start) -> None:
    plain["haproxy"]["extra_sections"] = {"backend own": ["server mine 127.0.0.1:9", "server other 127.0.0.1:9"]}
    settings = with_options(plain, "")
    make(settings, template, endpoint(1))
    start_haproxy()
    runtime(settings).change(["set server own/other state maint"])
    make(settings, template)
    own = {one.name: one.admin for one in runtime(settings).servers() if one.proxy == "own"}
    assert own == {"mine": "ready", "other": "maint"}
    assert make(settings, template).applied.action == "none"


def test_server_that_was_down_waits_for_its_check_after_a_reload(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    plain["services"]["web"]["haproxy"]["listen"] = ["mode http"]
    settings = with_options(plain, "check inter 100ms fall 1 rise 1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        up = Endpoint("localhost", "a" * 64, "127.0.0.1", listener.getsockname()[1])
        make(settings, template, up, endpoint(1))
        start_haproxy()
        until(lambda: state(settings, 1).status == "DOWN")
        until(lambda: all(one.checked for one in runtime(settings).servers()))
        plain["services"]["web"]["haproxy"]["listen"].append("description another")
        changed = with_options(plain, "check inter 1h fall 1 rise 1")
        assert make(changed, template, up, endpoint(1), endpoint(2)).applied.action == "reload"
        usable = {one.name for one in runtime(settings).servers() if one.usable}
        assert usable == {up.server_name(with_host=False)}


def test_renewal_is_a_reload_with_a_reason(plain: dict[str, Any], template: str, start_haproxy: Start) -> None:
    settings = with_options(plain, "")
    make(settings, template, endpoint(1))
    start_haproxy()
    applied = make(settings, template, endpoint(1), renew=True).applied
    assert (applied.action, applied.reason) == ("reload", "new servers that stay down are checked as the file says")


def test_change_without_a_runtime_socket_is_a_reload_with_a_reason(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    """HAProxy has a runtime socket, which only the test knows."""
    make(parse(plain, "test"), template, endpoint(1))
    start_haproxy()
    blind = parse(plain | {"haproxy": {k: v for k, v in plain["haproxy"].items() if k != "socket_file_path"}}, "test")
    applied = make(blind, template, endpoint(1), endpoint(2)).applied
    assert applied.action == "reload"
    assert "socket" in applied.reason
    assert make(blind, template, endpoint(1), endpoint(2)).applied.action == "none"


def test_host_name_is_resolved_to_an_address_at_run_time(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = with_options(plain, "")
    make(settings, template)
    start_haproxy()
    named = Endpoint("localhost", "a" * 64, "localhost", 49001)
    assert make(settings, template, named).applied.action == "runtime"
    (server,) = runtime(settings).servers()
    assert server.host in ("127.0.0.1", "::1")
    assert make(settings, template, named).applied.action == "none"


def test_host_name_that_does_not_resolve_is_left_to_the_file(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = with_options(plain, "")
    make(settings, template)
    start_haproxy()
    named = Endpoint("localhost", "a" * 64, "no-such-host.invalid", 49001)
    applied = make(settings, template, named).applied
    assert (applied.action, applied.reason.split(":")[0]) == ("reload", "web/aaaaaaaaaaaa_49001")
    assert make(settings, template, named).applied.action == "none"
    assert not runtime(settings).servers()[0].usable


def test_server_disabled_by_its_own_options_is_readied_once(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = with_options(plain, "disabled")
    make(settings, template, endpoint(1))
    start_haproxy()
    assert done(make(settings, template, endpoint(1))) == [("readied", name(1))]
    assert make(settings, template, endpoint(1)).applied.action == "none"


def test_changed_weight_of_a_server_is_a_reload(plain: dict[str, Any], template: str, start_haproxy: Start) -> None:
    settings = with_options(plain, "")
    make(settings, template, endpoint(1, weight=10))
    start_haproxy()
    assert make(settings, template, endpoint(1, weight=20)).applied.action == "reload"
    assert state(settings, 1).weight == 20


def test_sync_records_its_changes_for_status(plain: dict[str, Any], template: str, start_haproxy: Start) -> None:
    settings = with_options(plain, "")
    make(settings, template)
    start_haproxy()
    make(settings, template, endpoint(1))
    left = json.loads((settings.haproxy.run_directory / "sync.json").read_text())
    assert left["changes"][f"web/{name(1)}"][1:] == ["added", "its container runs and is healthy"]
    assert list(left["answers"]) == ["localhost"]


def test_older_answers_do_not_undo_recent_changes_of_the_watcher(
    plain: dict[str, Any], template: str, start_haproxy: Start
) -> None:
    settings = with_options(plain, "")
    make(settings, template, endpoint(1))
    start_haproxy()
    make(settings, template, endpoint(1), endpoint(2))
    changed_servers.add(settings.haproxy.run_directory, ("web", name(2)))
    # The third server makes the sync change something. These answers are older than the second server.
    make(settings, template, endpoint(1), endpoint(3))
    assert state(settings, 2).usable
    assert state(settings, 3).usable


def test_hostile_files_in_the_run_directory_do_no_harm(folder: Path) -> None:
    (folder / "real").write_text("text")
    (folder / "link").symlink_to(folder / "real")
    (folder / "endless").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    assert read_left(folder / "real") == "text"
    assert [read_left(folder / one) for one in ("link", "endless", "pipe", "absent")] == [None] * 4
