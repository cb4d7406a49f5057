"""Faults on one host: afterwards HAProxy runs what Docker says, without help from anybody."""

from __future__ import annotations

import json

import docker
import pytest
from ask import containers, cron_at_work, get, steady, within
from testinfra.host import Host
from watched import agrees, in_haproxy, log, now, runtime_api, serves, start, started, worker

testinfra_hosts = ["ansible://bookworm"]
CONFIG = "/etc/dockmaster/dockmaster.yml"
WATCHER = "systemctl show --property MainPID --value dockmaster-watch"


def follows_containers(host: Host) -> None:
    """Check that a new container gets traffic, and that a removed one gets none."""
    with started(host):
        pass


def test_killed_watcher_is_restarted_and_misses_nothing(host: Host) -> None:
    before = host.check_output(WATCHER)
    assert before != "0"
    with steady(host) as seen:
        host.check_output("kill -STOP %s", before)
        container = start(host)
        host.check_output("kill -KILL %s", before)
        within(20, lambda: host.check_output(WATCHER) not in (before, "0"))
        within(20, lambda: serves(host, container))
        host.check_output("docker rm --force %s", container)
        within(20, lambda: not in_haproxy(host, container))
    assert seen["failures"] == []


@pytest.mark.usefixtures("without_cron")
def test_watcher_follows_containers_without_cron(host: Host) -> None:
    follows_containers(host)


def test_cron_follows_containers_without_the_watcher_and_without_a_reload(host: Host) -> None:
    before = worker(host)
    within(65, lambda: cron_at_work(host))
    host.check_output("systemctl stop dockmaster-watch")
    try:
        with steady(host) as seen:
            follows_containers(host)
    finally:
        host.check_output("systemctl start dockmaster-watch")
    assert seen["failures"] == []
    assert worker(host) == before


def test_killed_haproxy_is_restarted_with_the_running_containers(host: Host) -> None:
    container = start(host)
    within(10, lambda: serves(host, container))
    before = worker(host)
    host.check_output("pkill -KILL haproxy")
    within(20, lambda: host.service("haproxy").is_running)
    within(20, lambda: agrees(host))
    assert worker(host) != before
    assert serves(host, container)
    host.check_output("docker rm --force %s", container)
    follows_containers(host)


def test_restarted_docker_engine_is_followed_again(host: Host) -> None:
    host.check_output("systemctl restart docker")
    within(60, lambda: agrees(host))
    follows_containers(host)


def test_hanging_docker_engine_removes_no_server(host: Host) -> None:
    expected = set(containers(host))
    with steady(host) as seen:
        host.check_output("pkill -STOP -x dockerd")
        try:
            within(30, lambda: "problem: Docker host" in host.run("dockmaster status").stdout)
            assert host.run("dockmaster sync").rc == 1
        finally:
            host.check_output("pkill -CONT -x dockerd")
        within(30, lambda: agrees(host))
    assert seen["failures"] == []
    assert set(containers(host)) == expected
    follows_containers(host)


def test_new_service_is_applied_by_one_reload_without_a_failed_request(host: Host) -> None:
    before, kept = worker(host), host.file(CONFIG).content_string
    service = kept[kept.index("  nodesrv:") : kept.index("discovery:\n  servers")]
    more = service.replace("nodesrv:", "second:").replace("port: 8080", "port: 8081")
    # This container has no label, so it serves both services.
    with started(host), steady(host) as seen:
        try:
            host.check_output("printf %%s %s > /tmp/new.yml", kept.replace("services:\n", f"services:\n{more}", 1))
            host.check_output("dockmaster check --config /tmp/new.yml && cp /tmp/new.yml %s", CONFIG)
            within(30, lambda: host.socket("tcp://0.0.0.0:8081").is_listening)
            within(30, lambda: get(host, "http://localhost:8081/")[0][0] == 200)
            changed = worker(host)
        finally:
            host.check_output("printf %%s %s > %s", kept, CONFIG)
        within(30, lambda: not host.socket("tcp://0.0.0.0:8081").is_listening)
    within(30, lambda: agrees(host))
    assert len({before, changed, worker(host)}) == 3
    assert seen["failures"] == []


def test_wrong_configuration_is_logged_and_changes_nothing(host: Host) -> None:
    before, kept, began = worker(host), host.file(CONFIG).content_string, now(host)
    host.check_output("sed -i s/image_name:/image_nam:/ %s", CONFIG)
    try:
        within(
            20,
            lambda: (
                "did you mean image_name"
                in host.check_output(
                    "journalctl --sync && journalctl --unit dockmaster-watch --output cat --since %s", f"@{began}"
                )
            ),
        )
        # The watcher goes on with the configuration before.
        container = start(host)
        within(20, lambda: serves(host, container))
        host.check_output("docker rm --force %s", container)
    finally:
        host.check_output("printf %%s %s > %s", kept, CONFIG)
    within(30, lambda: agrees(host))
    follows_containers(host)
    assert worker(host) == before


def test_watcher_cron_and_command_at_once_agree(host: Host) -> None:
    with steady(host) as seen:
        some = [start(host) for _ in range(3)]
        host.check_output("for i in 1 2 3 4; do dockmaster sync & done; wait")
        within(30, lambda: set(some) <= set(containers(host)))
        host.check_output(f"docker stop {' '.join(some)} & for i in 1 2 3; do dockmaster sync & done; wait")
        within(30, lambda: not any(in_haproxy(host, one) for one in some))
        host.check_output(f"docker rm {' '.join(some)}")
        within(30, lambda: agrees(host))
    assert seen["failures"] == []


def test_server_taken_out_by_hand_serves_again(host: Host) -> None:
    server = json.loads(host.check_output("dockmaster status --json"))["servers"][0]["server"]
    runtime_api(host, f"set server nodesrv/{server} state maint")
    # The watcher looks at every server once a minute (resync_interval).
    within(90, lambda: in_haproxy(host, server).startswith("UP"))


def test_change_is_logged_and_counted(host: Host) -> None:
    began = now(host)
    with started(host) as container:
        pass
    changes = {one["change"]: one for one in log(host, began) if container in one["server"]}
    assert {"added", "removed"} <= changes.keys()
    assert changes["added"]["service"] == "nodesrv"
    assert changes["added"]["cause"] == "start"
    # The watcher waits for a sync that is running.
    assert 0 < float(changes["added"]["after_ms"]) < 10_000
    within(10, lambda: "dockmaster_watch_event_to_applied_seconds_bucket" in figures(host, "watch"))
    assert 'dockmaster_watch_changes_total{change="added"}' in figures(host, "watch")
    assert "dockmaster_watch_source_last_answer_timestamp_seconds" in figures(host, "watch")
    assert 'dockmaster_sync_runs_total{result="done"}' in figures(host, "sync")


def figures(host: Host, writer: str) -> str:
    """Return the metrics of the watcher or of the syncs."""
    return str(host.file(f"/var/lib/dockmaster/metrics/dockmaster_{writer}.prom").content_string)


def test_watcher_has_no_rights_to_the_files_of_root(host: Host) -> None:
    pid = host.check_output(WATCHER)
    assert host.check_output("stat --format %%U /proc/%s", pid) == "dockmaster"
    score = host.check_output("systemd-analyze security --no-pager dockmaster-watch | tail --lines 1")
    assert score.split()[-2] == "OK" or score.split()[-2] == "SAFE", score
    assert "NoNewPrivs:\t1" in host.file(f"/proc/{pid}/status").content_string
    for path in ("/etc/haproxy/haproxy.cfg", CONFIG, "/var/lib/dockmaster/last_known.json"):
        assert host.run("setpriv --reuid dockmaster --regid haproxy --clear-groups test -w %s", path).rc == 1


def test_rebooted_machine_serves_the_same_containers(host: Host) -> None:
    expected = len(containers(host))
    docker.from_env().containers.get(host.backend.hostname).restart(timeout=30)
    within(60, lambda: host.run("systemctl is-system-running --wait").rc == 0)
    within(60, lambda: agrees(host))
    assert len(containers(host)) == expected
    follows_containers(host)
