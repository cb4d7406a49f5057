"""Drain on a real HAProxy with real web servers. The Docker hosts one and two are simulated."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from ansible_runs import play
from conftest import TEMPLATE, Run
from docker_api import SimulatedDocker, simulated_docker
from dockmaster import drain
from dockmaster.config.file import load
from dockmaster.drain import NotDrained, Outcome, Target
from dockmaster.errors import DockmasterError
from dockmaster.state import drains
from dockmaster.state.drains import Drain
from waiting import until
from watching import Watched, container_id, entry
from web_server import WebServer

Start = Callable[[], None]


@dataclass
class Two:
    """Two Docker hosts with a container each, HAProxy, and a watcher.

    Attributes:
        around: HAProxy, configuration, watcher.
        one, two: the simulated hosts.
        webs: the web servers of the containers by number.
        template: the template's text.
    """

    around: Watched
    one: SimulatedDocker
    two: SimulatedDocker
    webs: dict[int, WebServer]
    template: str

    def drain(self, kind: str, name: str, **options: Any) -> Outcome:
        return drain.drain(self.around.settings, self.template, Target.named(kind, name), **options)

    def ready(self, kind: str, name: str, **options: Any) -> Outcome:
        return drain.ready(self.around.settings, self.template, Target.named(kind, name), **options)

    def told(self) -> dict[str, str]:
        """Return the administrative state of each server, by host and number of its container."""
        found = {}
        for host in ("one", "two"):
            for number in self.webs:
                if self.around.servers(number, f"{host}_"):
                    found[f"{host}{number}"] = self.around.told(number, f"{host}_")
        return found

    def is_told(self, **told: str) -> None:
        until(lambda: told.items() <= self.told().items())

    def run(self, host: SimulatedDocker, number: int) -> None:
        """Add a container to the list, without an event."""
        self.webs[number] = self.around.web()
        host.containers = [*host.containers, entry(number, self.webs[number].port)]

    def marks(self) -> list[str]:
        return [str(mark) for mark in drains.load(drains.file_of(self.around.settings.haproxy))]

    def usable(self, number: int) -> None:
        until(lambda: self.around.runtime.usable_servers("web") == number)


@pytest.fixture
def prepared(around: Watched, template: str) -> Iterator[Two]:
    with simulated_docker() as other:
        around.service["discovery"]["servers"] = [
            {"name": "one", "host": "127.0.0.1", "port": around.api.port},
            {"name": "two", "host": "127.0.0.1", "port": other.port},
        ]
        two = Two(around, around.api, other, {}, template)
        two.run(two.one, 1)
        two.run(two.two, 2)
        around.first_pass()
        yield two
        around.stop()


@pytest.fixture
def two(prepared: Two, start_haproxy: Start) -> Two:
    """Let both containers serve."""
    start_haproxy()
    prepared.usable(2)
    return prepared


def test_drained_host_gets_no_request_during_syncs_until_it_is_ready(two: Two) -> None:
    outcome = two.drain("host", "one")
    assert (outcome.changed, outcome.message) == (True, "one is drained: 1 server gets no new requests")
    assert [(row.docker_host, row.container, row.haproxy, row.sessions) for row in outcome.servers] == [
        ("one", "web-1", "drain, DRAIN", 0)
    ]
    assert {two.around.ask() for _ in range(6)} == {200}
    assert (two.webs[1].served, two.webs[2].served) == (0, 6)
    two.run(two.one, 3)
    assert two.around.sync().applied.action == "none"
    assert two.told() == {"one1": "drain", "two2": "ready"}
    assert not two.drain("host", "one").changed
    assert two.ready("host", "one", wait=10).message == "one is ready: 2 servers"
    assert two.told() == {"one1": "ready", "two2": "ready", "one3": "ready"}
    assert two.marks() == []
    assert not two.ready("host", "one").changed


def test_all_files_may_be_in_one_folder(two: Two) -> None:
    haproxy = two.around.plain["haproxy"]
    folder = two.around.settings.haproxy.config_file_path.parent
    haproxy |= {"state_file": str(folder / "last_known.json"), "run_directory": str(folder)}
    two.around.first_pass()
    assert two.drain("host", "one").changed
    two.is_told(one1="drain", two2="ready")
    assert two.ready("host", "one").changed
    two.is_told(one1="ready", two2="ready")


def test_drained_host_stays_drained_when_haproxy_restarts(prepared: Two, start_haproxy: Start) -> None:
    prepared.drain("host", "one")
    start_haproxy()
    prepared.usable(1)
    assert prepared.told() == {"two2": "ready"}
    assert prepared.around.sync().applied.action == "none"
    assert prepared.ready("host", "one", wait=10).done
    prepared.usable(2)


@pytest.mark.parametrize("running", [True, False])
def test_drain_of_the_last_usable_server_fails_and_changes_nothing(
    prepared: Two, start_haproxy: Start, running: bool
) -> None:
    if running:
        start_haproxy()
        prepared.usable(2)
    prepared.drain("host", "one")
    before = prepared.told() if running else {}
    for kind, name in (("host", "two"), ("container", "web-2")):
        with pytest.raises(NotDrained, match=r"without web/two_020202020202_\d+ \(web-2\) the service has no") as error:
            prepared.drain(kind, name)
        assert [name.split("_")[1] for name in error.value.last_usable] == ["02" * 6]
    assert prepared.marks() == ["one"]
    assert (prepared.told() if running else {}) == before


def test_drain_fails_if_the_servers_of_other_hosts_are_down(two: Two) -> None:
    two.webs[2].status = 500
    two.usable(1)
    with pytest.raises(NotDrained, match="one is not drained"):
        two.drain("host", "one")
    two.webs[2].status = 200
    two.usable(2)
    assert two.drain("host", "one").changed


def test_two_drains_at_once_leave_a_usable_server(two: Two) -> None:
    done: list[str] = []

    def work(host: str) -> None:
        try:
            two.drain("host", host)
            done.append("drained")
        except NotDrained:
            done.append("refused")

    workers = [threading.Thread(target=work, args=(host,)) for host in ("one", "two")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(done) == ["drained", "refused"]
    assert sorted(two.told().values()) == ["drain", "ready"]


@pytest.mark.parametrize(
    "name", ["web-1", "one/web-1", container_id(1), container_id(1)[:4], f"one/{container_id(1)[:12]}"]
)
def test_container_can_be_drained_and_readied_by_each_of_its_names(two: Two, name: str) -> None:
    assert two.drain("container", name).changed
    assert two.told() == {"one1": "drain", "two2": "ready"}
    assert two.ready("container", "web-1").changed
    assert two.told() == {"one1": "ready", "two2": "ready"}


def test_container_name_of_two_hosts_needs_the_host(two: Two) -> None:
    two.webs[1] = two.webs[2]
    two.two.containers.append(entry(1, two.webs[2].port))
    two.around.sync()
    with pytest.raises(NotDrained, match="web-1 is more than one: one/web-1, two/web-1; name one of them"):
        two.drain("container", "web-1")
    assert two.drain("container", "two/web-1").changed
    assert two.told() == {"one1": "ready", "two1": "drain", "two2": "ready"}


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("host", "three", "there is no Docker host three; known are one, two"),
        ("container", "three/web-1", "there is no Docker host three; known are one, two"),
        ("container", "web-3", "no container web-3 serves anything"),
        ("container", "one/web-2", "no container one/web-2 serves anything"),
        ("container", "010", "no container 010 serves anything"),
    ],
)
def test_drain_of_an_unknown_name_fails(prepared: Two, kind: str, name: str, words: str) -> None:
    with pytest.raises(NotDrained, match=words):
        prepared.drain(kind, name)
    assert prepared.marks() == []


def test_check_mode_of_a_drain_changes_nothing_and_fails_alike(two: Two) -> None:
    outcome = two.drain("host", "one", check_mode=True)
    assert (outcome.changed, outcome.message) == (True, "one would be drained: 1 server gets no new requests")
    assert two.marks() == []
    assert two.told() == {"one1": "ready", "two2": "ready"}
    two.drain("host", "one")
    with pytest.raises(NotDrained):
        two.drain("host", "two", check_mode=True)
    assert two.ready("host", "one", check_mode=True).message == "one would be ready: 1 server"
    assert two.told() == {"one1": "drain", "two2": "ready"}


def test_unreachable_host_is_drained_by_its_last_known_servers(two: Two) -> None:
    two.one.status = 500
    assert two.drain("host", "one").changed
    assert two.told() == {"one1": "drain", "two2": "ready"}
    assert two.around.sync().applied.action == "none"
    assert two.ready("host", "one").changed
    assert two.told() == {"one1": "ready", "two2": "ready"}
    two.two.status = 500
    assert two.drain("container", "web-2").changed
    assert two.told() == {"one1": "ready", "two2": "drain"}


def test_host_that_only_playbooks_ask_is_drained_by_its_last_known_servers(two: Two) -> None:
    two.around.service["discovery"]["servers"] = []
    two.around.write()
    assert two.drain("host", "one").changed
    assert two.told() == {"one1": "drain", "two2": "ready"}
    with pytest.raises(NotDrained, match="there is no Docker host three; known are one, two"):
        two.drain("host", "three")


def test_drain_waits_for_requests_and_says_how_many_are_left(two: Two) -> None:
    two.webs[1].held.clear()
    clients = [threading.Thread(target=two.around.ask) for _ in range(2)]
    for client in clients:
        client.start()
    until(lambda: two.webs[1].served == 1)
    outcome = two.drain("host", "one", wait=0.5)
    assert not outcome.done
    assert "1 session left after 0.5 s on web/one_0101" in outcome.message
    assert two.marks() == ["one"]
    threading.Timer(0.5, two.webs[1].held.set).start()
    assert two.drain("host", "one", wait=20).done
    for client in clients:
        client.join(20)


def test_drain_whose_sync_fails_leaves_nothing_drained(two: Two) -> None:
    with pytest.raises(DockmasterError, match="the template"):
        drain.drain(two.around.settings, "{{ nothing }}", Target("one"))
    assert two.marks() == []
    two.around.service["haproxy"]["listen"].append("no such keyword")
    two.around.write()
    with pytest.raises(DockmasterError, match="HAProxy refuses"):
        two.drain("host", "one")
    assert two.marks() == []


def test_drains_of_gone_containers_and_removed_hosts_are_forgotten(two: Two) -> None:
    two.run(two.one, 3)
    two.around.sync()
    two.usable(3)
    two.drain("container", "web-1")
    two.drain("host", "two")
    two.one.status = 500
    two.around.sync()
    assert two.marks() == ["one/web-1", "two"]
    # It still runs, but serves nothing for now.
    two.one.status = 200
    two.one.containers[0]["Status"] = "Up 1 second (health: starting)"
    two.around.sync()
    assert two.marks() == ["one/web-1", "two"]
    # It may be restarting, so its drain is not forgotten yet.
    gone = two.one.containers.pop(0)
    two.around.sync()
    assert two.marks() == ["one/web-1", "two"]
    two.one.containers.insert(0, {**gone, "Status": "Up 1 second"})
    two.around.sync()
    assert two.told()["one1"] in ("", "drain", "maint")
    del two.one.containers[0]
    two.around.sync()
    path = drains.file_of(two.around.settings.haproxy)
    # An hour later it is still gone.
    drains.save(path, [replace(one, missing=one.missing and one.missing - drains.MISSING) for one in drains.load(path)])
    two.around.sync()
    assert two.marks() == ["two"]
    two.around.service["discovery"]["servers"].pop()
    two.around.write()
    two.around.sync()
    assert two.marks() == []


def test_drained_container_whose_image_tag_moved_can_be_readied(two: Two) -> None:
    two.drain("host", "one")
    two.one.containers[0]["Image"] = f"sha256:{0:064x}"
    two.around.sync()
    two.ready("host", "one", wait=10)
    assert two.told() == {"one1": "ready", "two2": "ready"}


@pytest.mark.parametrize("text", ["", "null", "{}", "[1]", "[{}]", "nonsense", "[" * 100_000, '[{"host": "one"}]'])
def test_damaged_file_drains_nothing(two: Two, text: str) -> None:
    drains.file_of(two.around.settings.haproxy).write_text(text)
    assert two.marks() == []
    assert two.around.sync().applied.action == "none"


def test_watcher_can_read_the_file_of_drains(two: Two) -> None:
    two.drain("host", "one")
    assert drains.file_of(two.around.settings.haproxy).stat().st_mode & 0o777 == 0o644


def test_running_watcher_takes_up_a_drain_and_keeps_it(two: Two) -> None:
    two.around.watch()
    two.drain("host", "one")
    two.run(two.one, 3)
    two.one.event(container_id(3), "start")
    two.run(two.two, 4)
    two.two.event(container_id(4), "start")
    two.usable(2)
    assert two.told() == {"one1": "drain", "two2": "ready", "two4": "ready"}
    # A full look decides the same.
    two.one.say(None)
    until(lambda: len(two.one.streams) == 1)
    two.run(two.two, 5)
    two.two.event(container_id(5), "start")
    two.usable(3)
    assert two.told()["one1"] == "drain"
    assert "one3" not in two.told()
    two.ready("host", "one")
    two.usable(5)
    assert two.around.sync().applied.action in ("none", "write")


def test_watcher_drains_by_the_file_alone(two: Two) -> None:
    """The watcher alone reads the file, and no sync runs."""
    two.around.watch()
    path = drains.file_of(two.around.settings.haproxy)
    drains.save(path, [Drain("one")])
    two.is_told(one1="drain")
    # The last usable server serves until there is another.
    drains.save(path, [Drain("one"), Drain("two", "web-2")])
    until(lambda: two.around.runtime.usable_servers("web") == 1)
    two.is_told(two2="ready")
    drains.save(path, [Drain("two", "web-2")])
    two.is_told(one1="ready", two2="drain")
    two.around.said("change=drained", "docker_host=two", "cause=operator")


def test_restarted_watcher_keeps_a_drain(two: Two) -> None:
    two.drain("host", "one")
    two.around.watch()
    assert two.told() == {"one1": "drain", "two2": "ready"}
    two.around.stop()
    two.one.status = 500
    two.around.watch()
    assert two.told() == {"one1": "drain", "two2": "ready"}


def test_open_request_of_a_drained_server_finishes(two: Two) -> None:
    """The drain comes during the request."""
    two.webs[1].held.clear()
    statuses: list[int] = []
    client = threading.Thread(target=lambda: statuses.extend(two.around.ask() for _ in range(2)))
    client.start()
    until(lambda: two.webs[1].served == 1)
    two.drain("host", "one")
    two.webs[1].held.set()
    client.join(20)
    assert statuses == [200, 200]


def test_status_shows_a_drain_and_its_user_without_a_problem(run: Run, two: Two) -> None:
    two.drain("container", "web-1")
    done = run("status", "--config", two.around.file, "--json")
    status = json.loads(done.stdout)
    assert (done.returncode, status["healthy"]) == (0, True), status
    assert [(row["container"], row["state"], row["haproxy"]) for row in status["servers"]] == [
        ("web-1", "drained", "DRAIN"),
        ("web-2", "healthy", "UP"),
    ]
    assert status["servers"][0]["drained_by"] == status["drained"][0]["by"] == drain.who()
    assert f"drained: one/web-1, by {drain.who()} at " in run("status", "--config", two.around.file).stdout


def test_command_drains_lists_and_readies(run: Run, two: Two) -> None:
    def call(*arguments: str) -> tuple[int, str, str]:
        done = run(*arguments, "--config", two.around.file, "--template", TEMPLATE)
        return done.returncode, done.stdout, done.stderr

    assert call("drain") == (0, "", "")
    assert call("drain", "host", "one", "--wait", "5") == (
        0,
        "dockmaster: one is drained: 1 server gets no new requests\n",
        "",
    )
    status, said, _ = call("drain")
    assert status == 0
    assert said.startswith(f"drained: one, by {drain.who()} at ")
    status, _, said = call("drain", "host", "two")
    assert status == 1
    assert said.startswith("dockmaster: two is not drained: without web/two_")
    assert call("drain", "host")[0] == 2
    assert call("ready", "host", "one", "--wait", "10") == (0, "dockmaster: one is ready: 1 server\n", "")
    assert call("ready", "host", "one") == (0, "dockmaster: one is not drained\n", "")
    assert json.loads(call("ready", "--json")[1]) == {"drained": []}


def test_module_drains_with_check_mode_and_diff(two: Two) -> None:
    folder = two.around.file.parent
    (folder / "haproxy.cfg.j2").write_text(two.template)
    options = {"config": str(two.around.file), "host": "one"}

    def task(register: str, check: bool = False, **more: Any) -> dict[str, Any]:
        return {"haproxy_drain": {**options, **more}, "register": register, "check_mode": check}

    failed = {
        "block": [{"haproxy_drain": {"config": str(two.around.file), "container": "web-2"}, "register": "last"}],
        "rescue": [{"ansible.builtin.debug": {"var": "last"}}],
    }
    play(
        [
            task("checked", check=True),
            task("drained", wait=True, wait_timeout=5),
            task("again"),
            failed,
            task("ready", state="ready", wait=True, wait_timeout=10),
            {
                "ansible.builtin.assert": {
                    "that": [
                        "checked.changed and drained.changed and not again.changed and ready.changed",
                        "drained.servers[0].haproxy == 'drain, DRAIN' and drained.servers[0].sessions == 0",
                        "drained.drained[0].docker_host == 'one' and drained.diff.after == 'one\n'",
                        "last is failed and last.last_usable | length == 1 and 'is not drained: without' in last.msg",
                        "ready.drained == [] and ready.done",
                    ]
                }
            },
        ],
        folder,
    )
    assert load(two.around.file).haproxy == two.around.settings.haproxy
    assert two.told() == {"one1": "ready", "two2": "ready"}
