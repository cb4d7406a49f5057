"""The configuration that changes under a watcher, and what serves where no container does; Docker is simulated."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from dockmaster.state import stopping as draining
from dockmaster.state import sync_request as requested
from waiting import until
from watching import Watched

Start = Callable[[], None]


def test_a_wrong_configuration_is_told_once_and_the_one_before_stays(watching: Watched) -> None:
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


def test_a_changed_configuration_is_taken_up_and_a_pass_is_asked_for(watching: Watched) -> None:
    requested.take(watching.settings.haproxy.run_directory)
    # Nothing takes their place: they serve for as long as requests under way may last.
    watching.plain["haproxy"]["drain_timeout"] = 1
    watching.service["discovery"]["container_port"] = 8001
    watching.write()
    watching.said("configuration=changed", "services=1")
    watching.is_told(1, "maint")
    watching.is_told(2, "maint")
    until((watching.settings.haproxy.run_directory / requested.FILE).exists)


def test_a_service_that_haproxy_does_not_have_yet_waits_for_its_reload(
    watching: Watched, free_port: Callable[[], int]
) -> None:
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


def test_who_was_told_to_stop_is_stopping_still_with_another_configuration(watching: Watched) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.plain["watch"]["resync_interval"] = 29
    watching.write()
    watching.said("configuration=changed")
    until(lambda: len([line for line in watching.log if "state=ready" in line]) == 2)
    watching.start(3)
    watching.up(3)
    assert watching.told(1) == "drain"


def test_who_was_told_to_stop_is_stopping_still_with_another_watcher(watching: Watched) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.stop()
    watching.log.clear()
    watching.watch()
    watching.start(3)
    watching.up(3)
    assert watching.told(1) == "drain"


def test_who_has_started_again_while_nobody_watched_is_told_to_stop_no_more(watching: Watched) -> None:
    watching.event(1, "kill", signal="15")
    watching.is_told(1, "drain")
    watching.stop()
    watching.log.clear()
    # A restart gives it another port.
    watching.run(1)
    watching.watch()
    watching.up(1)
    until(lambda: not draining.load(watching.settings.haproxy.run_directory, 30))


def test_default_servers_serve_where_no_simulated_container_does(around: Watched, start_haproxy: Start) -> None:
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


def test_servers_that_others_replace_serve_until_one_of_those_does(watching: Watched) -> None:
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


def test_a_default_server_without_an_address_holds_up_nobody(around: Watched, start_haproxy: Start) -> None:
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


def test_the_servers_before_stay_where_the_service_says_so(around: Watched, start_haproxy: Start) -> None:
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
def test_a_pass_is_asked_for_soon_after_a_change_and_once_for_several(watching: Watched, times: int) -> None:
    wanted = watching.settings.haproxy.run_directory / requested.FILE
    assert not wanted.exists()
    begun = time.monotonic()
    for number in range(3, 3 + times):
        watching.start(number)
    until(wanted.exists)
    assert time.monotonic() - begun < 10
    assert not requested.take(wanted.parent)
    watching.up(*range(3, 3 + times))
    watching.sync()
    text = watching.settings.haproxy.config_file_path.read_text()
    assert text.count("    server ") == 2 + times
