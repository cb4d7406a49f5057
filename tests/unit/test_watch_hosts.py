"""Simulated Docker hosts that are slow, unreachable, gone or back, with a watcher and a real HAProxy."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
from docker_api import simulated_docker
from dockmaster import status
from dockmaster.state import history, last_known
from prometheus_client.parser import text_string_to_metric_families
from waiting import until
from watching import Watched, container_id, entry

Start = Callable[[], None]
CUT = b""


@pytest.mark.parametrize("how", [None, CUT], ids=["ends cleanly", "is cut"])
def test_changes_during_a_broken_simulated_stream_are_found(watching: Watched, how: bytes | None) -> None:
    watching.gone(1)
    watching.run(3)
    watching.api.say(how)
    watching.is_told(1, "maint")
    watching.up(2, 3)
    until(lambda: len(watching.api.streams) == 1)
    watching.event(2, "kill", signal="15")
    watching.is_told(2, "drain")


def test_changes_during_a_stalled_simulated_stream_are_found(around: Watched, start_haproxy: Start) -> None:
    around.plain["watch"]["resync_interval"] = 1
    around.begin(start_haproxy, 1, 2)
    stalled = around.api.streams[0]
    around.gone(1)
    around.run(3)
    around.is_told(1, "maint")
    around.up(3)
    until(lambda: any(stream is not stalled for stream in around.api.streams))


def test_unchanged_simulated_list_is_an_answer_and_a_changed_one_is_read(around: Watched, start_haproxy: Start) -> None:
    around.plain["watch"]["resync_interval"] = 2
    webs = {number: around.run(number) for number in (1, 2)}
    around.first_pass()
    start_haproxy()
    around.watch()
    around.up(1, 2)
    streams = len(around.api.streams)
    until(lambda: len(around.api.streams) > streams + 1)
    assert around.told(1) == around.told(2) == "ready"
    # No event says that it is paused, but the list does.
    around.run(1, webs[1], state="paused", status="Up 2 minutes (Paused)")
    around.is_told(1, "drain")
    around.run(1, webs[1])
    around.is_told(1, "ready")
    # No event says that it is back, but the list does, in the same text as before the end.
    before, asked = around.api.containers, len(around.api.requests)
    around.gone(2)
    around.event(2, "die")
    until(lambda: any("filters" in path for path in around.api.requests[asked:] if "/containers/" in path))
    around.is_told(2, "maint")
    around.api.containers = before
    around.up(2)
    assert "error=" not in "".join(around.log)


def test_image_that_a_sync_resolved_is_used_for_an_unchanged_simulated_list(
    around: Watched, start_haproxy: Start
) -> None:
    around.plain["watch"]["resync_interval"] = 1
    around.begin(start_haproxy, 1)
    around.run(2)
    shown = {**around.api.containers[-1], "Image": f"sha256:{'1' * 64}"}
    around.api.containers[-1] = shown
    around.event(2, "start")
    until(lambda: len(around.api.streams) > 2)
    assert around.told(2) == ""
    # A sync may resolve the image, but the watcher may not.
    around.api.images[shown["Id"]] = around.api.containers[0]["Image"]
    around.sync()
    around.up(2)
    streams = len(around.api.streams)
    until(lambda: len(around.api.streams) > streams + 1)
    around.event(2, "kill", signal="15")
    around.is_told(2, "drain")


def test_hanging_simulated_host_keeps_its_servers_and_is_followed_again(around: Watched, start_haproxy: Start) -> None:
    around.begin(start_haproxy, 1)
    around.api.status = 500
    around.api.say(None)
    around.said("source=localhost", "state=unreachable", "status 500")
    assert around.told(1) == "ready"
    around.run(2)
    around.api.status = 200
    around.up(1, 2)
    around.said("source=localhost", "state=answers")
    assert len([line for line in around.log if "state=unreachable" in line]) == 1


def test_host_unreachable_at_the_start_keeps_its_last_known_servers(around: Watched, start_haproxy: Start) -> None:
    around.run(1)
    around.run(2)
    around.first_pass()
    start_haproxy()
    around.api.status = 500
    around.watch()
    around.up(1, 2)
    assert around.sync_fails()
    around.gone(2)
    around.api.status = 200
    around.is_told(2, "maint")
    assert around.told(1) == "ready"


def test_simulated_host_is_followed_soon_after_it_is_back(
    around: Watched, start_haproxy: Start, free_port: Callable[[], int]
) -> None:
    port = free_port()
    around.service["discovery"]["servers"][0]["port"] = port
    web = around.web()
    last_known.save(around.settings.haproxy.state_file, last_known.LastKnown())
    around.write()
    with simulated_docker(port) as before:
        before.containers = [entry(1, web.port)]
        around.first_pass()
        start_haproxy()
        around.watch()
        around.up(1)
        before.say(CUT)
    around.said("source=localhost", "state=unreachable")
    with simulated_docker(port) as back:
        back.containers = [entry(1, web.port), entry(2, web.port)]
        begun = time.monotonic()
        around.up(1, 2)
        assert time.monotonic() - begun < 10
        around.stop()


def test_end_between_subscribing_and_listing_is_not_lost(around: Watched, start_haproxy: Start) -> None:
    """The simulated list still has a container whose end came during the list."""
    around.run(1)
    around.run(2)
    around.first_pass()
    start_haproxy()

    def end() -> None:
        around.api.listing = lambda: None
        until(lambda: around.api.streams)
        around.gone(1)
        around.event(1, "die")

    around.api.listing = end
    around.watch()
    around.is_told(1, "maint")
    around.up(2)


def test_kill_between_subscribing_and_listing_is_not_lost(around: Watched, start_haproxy: Start) -> None:
    around.run(1)
    around.run(2)
    around.first_pass()
    start_haproxy()

    def kill() -> None:
        around.api.listing = lambda: None
        until(lambda: around.api.streams)
        around.event(1, "kill", signal="15")

    around.api.listing = kill
    around.watch()
    around.is_told(1, "drain")
    around.up(2)


def test_two_simulated_hosts_may_have_containers_with_the_same_short_id(around: Watched, start_haproxy: Start) -> None:
    with simulated_docker() as other:
        around.service["discovery"]["servers"] = [
            {"name": "one", "host": "127.0.0.1", "port": around.api.port},
            {"name": "two", "host": "127.0.0.1", "port": other.port},
        ]
        web = around.run(1)
        other.containers = [entry(1, web.port)]
        around.first_pass()
        start_haproxy()
        around.watch()
        until(lambda: [around.told(1, f"{host}_") for host in ("one", "two")] == ["ready", "ready"])
        until(lambda: around.runtime.usable_servers("web") == 2)
        other.event(container_id(1), "kill", signal="15")
        around.is_told(1, "drain", host="two_")
        assert around.told(1, host="one_") == "ready"
        around.stop()


def test_host_that_leaves_the_configuration_is_drained_and_removed(around: Watched, start_haproxy: Start) -> None:
    with simulated_docker() as other:
        servers = [
            {"name": "one", "host": "127.0.0.1", "port": around.api.port},
            {"name": "two", "host": "127.0.0.1", "port": other.port},
            {"name": "three", "host": "127.0.0.1", "port": around.api.port},
        ]
        around.service["discovery"]["servers"] = servers
        web = around.run(1)
        other.containers = [entry(2, web.port)]
        around.first_pass()
        start_haproxy()
        around.watch()
        until(lambda: around.runtime.usable_servers("web") == 3)
        servers.pop(1)
        around.write()
        around.is_told(2, "maint", host="two_")
        until(lambda: around.runtime.usable_servers("web") == 2)
        around.stop()


def test_two_simulated_containers_with_the_same_short_id_break_nothing(watching: Watched) -> None:
    """A real engine does not, but a faulty or hostile one may."""
    web = watching.web()
    twin = container_id(1)[:12] + "f" * 52
    port = watching.servers(1)[0].port
    watching.api.containers.append({**entry(1, port), "Id": twin})
    watching.api.event(twin, "start")
    watching.start(3, web)
    watching.up(3)
    watching.api.containers = [one for one in watching.api.containers if one["Id"] != container_id(1)]
    watching.event(1, "die")
    watching.api.containers = [one for one in watching.api.containers if one["Id"] != twin]
    watching.api.event(twin, "die")
    watching.is_told(1, "maint")
    watching.event(3, "die")
    watching.is_told(3, "maint")


def test_next_watcher_knows_when_an_unreachable_host_last_answered(around: Watched, start_haproxy: Start) -> None:
    folder = around.file.parent / "metrics"
    folder.mkdir()
    around.plain["watch"]["metrics_directory"] = str(folder)
    with simulated_docker() as other:
        around.service["discovery"]["servers"] = [
            {"name": "one", "host": "127.0.0.1", "port": around.api.port},
            {"name": "two", "host": "127.0.0.1", "port": other.port},
        ]

        def told() -> dict[str, float]:
            return history.load(around.settings.haproxy.run_directory, ("watch",)).answers

        web = around.run(1)
        around.first_pass()
        start_haproxy()
        around.watch()
        until(lambda: around.told(1, "one_") == "ready")
        other.containers = [entry(2, web.port)]
        other.event(container_id(2), "start")
        until(lambda: told().keys() == {"one", "two"})
        before = told()
        around.stop()
        other.status = 500
        around.watch()
        around.start(3, web)
        until(lambda: told()["one"] > before["one"])
        assert told()["two"] == before["two"]
        figures = {
            sample.labels["docker_host"]: sample.value
            for family in text_string_to_metric_families((folder / "dockmaster_watch.prom").read_text())
            for sample in family.samples
            if sample.name == "dockmaster_watch_source_last_answer_timestamp_seconds"
        }
        assert figures.keys() == {"one", "two"}
        assert figures["two"] == pytest.approx(before["two"], abs=1)
        (silent,) = [source for source in status.of(around.settings).sources if not source.answers]
        assert silent.docker_host == "two"
        assert silent.age is not None
        assert silent.age >= time.time() - before["two"] - 1
        around.stop()
        # A sync saves it where it survives a reboot.
        around.sync()
        shutil.rmtree(around.settings.haproxy.run_directory)
        around.sync()
        assert [source.age is None for source in status.of(around.settings).sources] == [False, False]


def test_burst_of_simulated_events_is_handled(around: Watched, start_haproxy: Start) -> None:
    # This web server cannot answer three hundred HTTP checks.
    around.service["haproxy"]["listen"] = ["mode http"]
    web = around.run(1)
    around.run(2, web)
    around.first_pass()
    start_haproxy()
    around.watch()
    ids = [f"{number:03x}" * 21 + "0" for number in range(0x100, 0x100 + 300)]
    more: list[dict[str, Any]] = [{**entry(9, web.port), "Id": one} for one in ids]
    around.api.containers = [*around.api.containers, *more]
    for one in ids:
        around.api.event(one, "start")
    until(lambda: around.runtime.usable_servers("web") == 302, 30)
    around.api.containers = around.api.containers[:2]
    for one in ids:
        around.api.event(one, "die")
    until(lambda: around.runtime.usable_servers("web") == 2, 30)
    around.up(1, 2)
