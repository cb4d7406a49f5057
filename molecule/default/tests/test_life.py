"""The life of a container under steady clients: traffic once it can serve, and no failed request when it ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ask import containers, steady, within
from testinfra.host import Host
from watched import agrees, in_haproxy, log, now, serves, start, started, worker

testinfra_hosts = ["ansible://bookworm"]
HEALTH = ("--health-cmd 'test ! -e /tmp/unwell'", "--health-interval 500ms", "--health-retries 1")


@pytest.fixture(autouse=True)
def without_a_reload(host: Host) -> Iterator[None]:
    """Check after each test that HAProxy was not reloaded, and that the file follows."""
    before = worker(host)
    yield
    within(30, lambda: agrees(host))
    assert worker(host) == before


@pytest.mark.parametrize("mood", [{"LISTEN_AFTER": 5}, {"BROKEN_FOR": 5}], ids=["slow to listen", "broken at first"])
def test_slow_start_of_a_container_fails_no_request(host: Host, mood: dict[str, int]) -> None:
    with steady(host) as seen, started(host, **mood):
        pass
    assert seen["failures"] == []


def test_container_gets_traffic_once_its_healthcheck_passes(host: Host) -> None:
    with steady(host) as seen:
        container = start(
            host, "--health-cmd 'test -e /tmp/well'", "--health-interval 500ms", "--health-start-period 60s"
        )
        within(10, lambda: "starting" in host.check_output("docker ps --filter id=%s", container))
        # A container that starts later already gets traffic.
        with started(host):
            assert in_haproxy(host, container) == ""
        host.check_output("docker exec %s touch /tmp/well", container)
        within(10, lambda: serves(host, container))
        host.check_output("docker rm --force %s", container)
    assert seen["failures"] == []


@pytest.mark.parametrize("end", ["stop --time 5", "kill", "restart --time 5", "rm --force", "kill --signal TERM"])
def test_end_of_a_container_fails_no_request(host: Host, end: str) -> None:
    with started(host) as container, steady(host) as seen:
        host.check_output(f"docker {end} {container}")
        if end.startswith("restart"):
            within(20, lambda: serves(host, container))
        else:
            within(20, lambda: not in_haproxy(host, container))
            host.run(f"docker start {container}")
    assert seen["failures"] == []


def test_crash_fails_no_request_that_may_be_repeated(host: Host) -> None:
    with started(host) as container, steady(host) as seen:
        host.check_output("kill -KILL $(docker inspect --format '{{.State.Pid}}' %s)", container)
        within(20, lambda: not in_haproxy(host, container))
    assert seen["failures"] == []


def test_running_out_of_memory_fails_no_request_that_may_be_repeated(host: Host) -> None:
    with started(host, "--memory 64m", "--memory-swap 64m") as container, steady(host) as seen:
        host.run(
            f"python3 -c %s http://127.0.0.1:{port(host, container)}/grow",
            "import sys, urllib.request as u; u.urlopen(sys.argv[1])",
        )
        within(20, lambda: not in_haproxy(host, container))
        assert host.check_output("docker inspect --format '{{.State.OOMKilled}}' %s", container) == "true"
    assert seen["failures"] == []


def test_paused_container_is_drained_until_it_is_unpaused(host: Host) -> None:
    with started(host) as container:
        began = now(host)
        with steady(host) as seen:
            host.check_output("docker pause %s", container)
            within(5, lambda: in_haproxy(host, container) == "DRAIN")
            host.check_output("docker unpause %s", container)
            within(10, lambda: serves(host, container))
        assert [one["change"] for one in log(host, began)] == ["drained", "readied"]
    # Requests that have reached the paused container wait there, and no new ones follow.
    assert seen["failures"] == []


def test_container_that_ignores_sigterm_is_drained_before_it_is_killed(host: Host) -> None:
    with started(host, ON_TERM="ignore") as container, steady(host) as seen:
        host.check_output("docker stop --time 3 %s", container)
    assert seen["failures"] == []


def test_container_that_survives_its_signal_gets_traffic_again(host: Host) -> None:
    with started(host, ON_TERM="ignore") as container, steady(host) as seen:
        host.check_output("docker kill --signal TERM %s", container)
        within(5, lambda: in_haproxy(host, container) == "DRAIN")
        # A sync decides the same as the watcher.
        host.check_output("dockmaster sync")
        assert in_haproxy(host, container) == "DRAIN"
        within(40, lambda: serves(host, container))
    assert seen["failures"] == []


@pytest.mark.parametrize("signal", ["HUP", "USR1", "USR2", "WINCH"])
def test_signal_that_stops_nothing_drains_nothing(host: Host, signal: str) -> None:
    with started(host) as container:
        began = now(host)
        host.check_output(f"docker kill --signal {signal} {container}")
        host.check_output("docker pause %s && docker unpause %s", container, container)
        within(10, lambda: "readied" in [one["change"] for one in log(host, began)])
        assert [one["cause"] for one in log(host, began)] == ["pause", "unpause"]


def port(host: Host, container: str) -> str:
    """Return the port where a container is published."""
    return str(host.check_output("docker port %s 8000", container)).splitlines()[0].rpartition(":")[2]


def test_running_requests_finish_while_their_container_stops(host: Host) -> None:
    with started(host) as container:
        host.check_output(
            "systemd-run --collect --unit slow-request sh -c %s",
            "for i in 1 2 3; do python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/slow')"
            '.read().decode())" >> /tmp/slow 2>&1 & done; wait',
        )
        within(
            5,
            lambda: (
                f":{port(host, container)} " in host.check_output("ss --no-header --tcp --numeric state established")
            ),
        )
        host.check_output("docker stop --time 12 %s", container)
        within(20, lambda: host.run("grep --count Hello /tmp/slow").stdout.strip() == "3")
        assert "Error" not in host.check_output("cat /tmp/slow; rm /tmp/slow")


def test_flapping_healthcheck_fails_no_request(host: Host) -> None:
    with started(host, *HEALTH) as container, steady(host) as seen:
        for _ in range(3):
            host.check_output("docker exec %s touch /tmp/unwell", container)
            within(10, lambda: in_haproxy(host, container) == "DRAIN")
            host.check_output("docker exec %s rm /tmp/unwell", container)
            within(10, lambda: in_haproxy(host, container) == "UP")
    assert seen["failures"] == []


def test_disconnected_container_serves_again_once_connected(host: Host) -> None:
    with started(host) as container, steady(host) as seen:
        host.check_output("docker network disconnect bridge %s", container)
        within(20, lambda: not in_haproxy(host, container))
        host.check_output("docker network connect bridge %s", container)
        within(20, lambda: serves(host, container))
    assert seen["failures"] == []


def test_unhealthy_containers_all_serve_if_none_is_healthy(host: Host) -> None:
    own = host.check_output("docker ps --quiet").split()
    with started(host, *HEALTH) as one, started(host, *HEALTH) as other:
        host.check_output(f"docker stop {' '.join(own)}")
        try:
            with steady(host) as seen:
                host.check_output(f"for c in {one} {other}; do docker exec $c touch /tmp/unwell; done")
                within(10, lambda: host.run("dockmaster status").stdout.count("is unhealthy, and stays") == 2)
                # HAProxy's checks find both up, so both serve.
                assert {in_haproxy(host, one), in_haproxy(host, other)} == {"UP"}
                host.check_output(f"for c in {one} {other}; do docker exec $c rm /tmp/unwell; done")
                within(10, lambda: agrees(host))
                within(10, lambda: {in_haproxy(host, one), in_haproxy(host, other)} == {"UP"})
            assert seen["failures"] == []
        finally:
            host.check_output(f"docker start {' '.join(own)}")
            within(20, lambda: all(in_haproxy(host, one) == "UP" for one in own))


def test_last_container_serves_until_it_is_gone(host: Host) -> None:
    own = host.check_output("docker ps --quiet").split()
    with started(host, ON_TERM="ignore") as last:
        host.check_output(f"docker stop {' '.join(own)}")
        with steady(host) as seen:
            host.check_output("docker kill --signal TERM %s", last)
            within(
                5, lambda: "is stopping, and stays: no better server is usable" in host.run("dockmaster status").stdout
            )
            assert in_haproxy(host, last) == "UP"
        assert seen["failures"] == []
    assert "no usable server" in host.run("dockmaster status").stdout
    host.check_output(f"docker start {' '.join(own)}")
    within(20, lambda: agrees(host))
    assert set(containers(host)) == set(own)


def test_many_containers_start_and_stop_at_once(host: Host) -> None:
    with steady(host) as seen:
        some = [start(host) for _ in range(4)]
        within(20, lambda: set(some) <= set(containers(host)))
        host.check_output(f"docker stop {' '.join(some[:2])} & docker rm --force {' '.join(some[2:])}; wait")
        within(20, lambda: not any(in_haproxy(host, one) for one in some))
        host.check_output(f"docker rm {' '.join(some[:2])}")
    assert seen["failures"] == []
