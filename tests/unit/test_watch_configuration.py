"""A watcher whose configuration changes, and servers for when no container serves. Docker is simulated."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from dockmaster.state import stopping, sync_request
from waiting import until
from watching import Watched

Start = Callable[[], None]


def test_wrong_configuration_is_logged_once_and_the_old_one_stays(watching: Watched) -> None:
    right = watching.file.read_text()
    watching.file.write_text(right.replace("image_name", "image_nam"))
    watching.said("did you mean image_name?", 'configuration="as before"')
    watching.start(3)
    watching.up(1, 2, 3)
    assert len([line for line in watching.log if "as before" in line]) == 1
    watching.file.write_text(right)
    watching.start(4)
    watching.up(4)
    assert not [line for line in watching.log if "configuration=changed" in line]


def test_changed_configuration_is_taken_up_and_a_sync_requested(watching: Watched) -> None:
    sync_request.take(watching.settings.haproxy.run_directory)
    # Nothing takes their place, so they serve until drain_timeout.
    watching.plain["haproxy"]["drain_timeout"] = 1
    watching.service["discovery"]["container_port"] = 8001
    watching.write()
    watching.said("configuration=changed", "services=1")
    watching.is_told(1, "maint")
    watching.is_told(2, "maint")
    until((watching.settings.haproxy.run_directory / sync_request.FILE).exists)


def test_new_service_waits_for_the_reload_that_adds_it(watching: Watched, free_port: Callable[[], int]) -> None:
    watching.plain["services"]["api"] = {
        "discovery": {**watching.service["discovery"], "image_name": "local/api"},
        "haproxy": {**watching.service["haproxy"], "port": free_port()},
    }
    web = watching.web()
    watching.run(5, web)
    watching.api.containers[-1]["Image"] = "local/api"
    watching.write()
    watching.said("configuration=changed", "services=2")
    watching.said("error=")
    assert watching.sync().applied.action == "reload"
    watching.up(1, 2, 5)
    watching.start(6)
    watching.api.containers[-1]["Image"] = "local/api"
    watching.event(6, "start")
    watching.up(6)


def test_stopping_container_is_still_known_after_a_change_of_configuration(watching: Watched) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.plain["watch"]["resync_interval"] = 29
    watching.write()
    watching.said("configuration=changed")
    until(lambda: len([line for line in watching.log if "state=ready" in line]) == 2)
    watching.start(3)
    watching.up(3)
    assert watching.told(1) == "drain"


def test_stopping_container_is_still_known_after_a_restart_of_the_watcher(watching: Watched) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.stop()
    watching.log.clear()
    watching.watch()
    watching.start(3)
    watching.up(3)
    assert watching.told(1) == "drain"


def test_container_restarted_while_no_watcher_ran_is_not_stopping(watching: Watched) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.stop()
    watching.log.clear()
    # A restart changes its port.
    watching.run(1)
    watching.watch()
    watching.up(1)
    until(lambda: not stopping.load(watching.settings.haproxy.run_directory, 30))


def test_default_servers_serve_if_no_simulated_container_does(around: Watched, start_haproxy: Start) -> None:
    last = around.web()
    around.service["default_servers"] = [{"name": "last", "host": "127.0.0.1", "port": last.port}]
    around.begin(start_haproxy, 1)
    around.gone(1)
    around.event(1, "die")

    def usable() -> list[str]:
        return [one.name for one in around.runtime.servers() if one.usable]

    until(lambda: usable() == ["last"])
    assert around.ask() == 200
    assert last.served == 1
    slow = around.web()
    slow.status = 500
    around.start(2, slow)
    until(lambda: [one.status for one in around.servers(2)] == ["DOWN"])
    assert usable() == ["last"]
    assert [around.ask() for _ in range(4)] == [200] * 4
    assert slow.served == 0
    slow.status = 200
    around.up(2)
    until(lambda: "last" not in usable())


def test_replaced_servers_serve_until_one_of_the_new_ones_does(watching: Watched) -> None:
    slow = watching.web()
    slow.status = 500
    watching.run(3, slow)
    watching.api.containers[-1]["Ports"][0]["PrivatePort"] = 8001
    watching.service["discovery"]["container_port"] = 8001
    watching.write()
    watching.said("configuration=changed")
    until(lambda: [one.status for one in watching.servers(3)] == ["DOWN"])
    assert [watching.ask() for _ in range(4)] == [200] * 4
    assert slow.served == 0
    slow.status = 200
    watching.is_told(1, "maint")
    watching.is_told(2, "maint")
    assert watching.ask() == 200
    assert slow.served == 1


def test_default_server_without_an_address_does_not_affect_others(around: Watched, start_haproxy: Start) -> None:
    around.service["keep_default_servers"] = True
    around.service["default_servers"] = [{"name": "lost", "host": "no-such-host.invalid", "port": 80}]
    around.run(1)
    around.first_pass()
    start_haproxy()
    around.runtime.change(["set server web/lost state maint"])
    around.watch()
    around.up(1)
    around.said("no-such-host.invalid has no address")
    around.gone(1)
    around.event(1, "die")
    around.is_told(1, "maint")


def test_use_previous_backends_keeps_the_last_servers(around: Watched, start_haproxy: Start) -> None:
    around.service["use_previous_backends"] = True
    around.begin(start_haproxy, 1)
    around.gone(1)
    around.event(1, "die")
    asked = len(around.api.requests)
    until(lambda: len(around.api.requests) > asked)
    around.start(2)
    around.up(2)
    around.is_told(1, "maint")


@pytest.mark.parametrize("times", [1, 3])
def test_one_sync_is_requested_soon_after_several_changes(watching: Watched, times: int) -> None:
    wanted = watching.settings.haproxy.run_directory / sync_request.FILE
    assert not wanted.exists()
    begun = time.monotonic()
    for number in range(3, 3 + times):
        watching.start(number)
    until(wanted.exists)
    assert time.monotonic() - begun < 10
    assert not sync_request.take(wanted.parent)
    watching.up(*range(3, 3 + times))
    watching.sync()
    text = watching.settings.haproxy.config_file_path.read_text()
    assert text.count("    server ") == 2 + times


def test_default_server_that_was_out_for_long_serves_again(around: Watched, start_haproxy: Start) -> None:
    last = around.web()
    around.service["default_servers"] = [{"name": "last", "host": "127.0.0.1", "port": last.port}]
    around.plain["watch"]["resync_interval"] = 1
    around.begin(start_haproxy, 1)
    listed = len(around.api.streams)
    # Everything was looked at more than once meanwhile.
    until(lambda: len(around.api.streams) > listed + 1)
    around.gone(1)
    around.event(1, "die")
    until(lambda: [one.name for one in around.runtime.servers() if one.usable] == ["last"])
    assert around.ask() == 200
