"""Clocks that differ by hours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ask import within
from cluster import BALANCERS, DOCKER_HOSTS, has, host, property_of, remove, servers, start, whole
from fault import fault, short

# On Debian 12: HAProxy 3.0 does not start under libfaketime.
AHEAD, BEHIND = BALANCERS[0], DOCKER_HOSTS[2]
HOUR = 3600


@contextmanager
def clock(name: str, unit: str, seconds: int) -> Iterator[None]:
    """Shift the clock of a unit on a host during the block."""
    one = host(name)
    folder = f"/run/systemd/system/{unit}.service.d"
    library = one.check_output("ls /usr/lib/*/faketime/libfaketime.so.1")
    lines = [
        "[Service]",
        f"Environment=LD_PRELOAD={library} FAKETIME={seconds:+d} DONT_FAKE_MONOTONIC=1",
    ]
    one.check_output("mkdir -p %s && printf '%%s\\n' %s %s > %s/clock.conf", folder, *lines, folder)
    try:
        one.check_output("systemctl daemon-reload && systemctl restart %s", unit)
        yield
    finally:
        one.check_output("rm -r %s && systemctl daemon-reload && systemctl restart %s", folder, unit)


def test_wrong_clocks_cost_no_request() -> None:
    with (
        fault(f"clock of {short(AHEAD)}'s watcher an hour ahead, of {short(BEHIND)}'s gateway an hour behind") as one,
        clock(BEHIND, "dockmaster-gateway", -HOUR),
        clock(AHEAD, "dockmaster-watch", HOUR),
    ):
        one.inject("the clocks are changed")
        pid = property_of(AHEAD, "dockmaster-watch")
        assert "faketime" in host(AHEAD).check_output("cat /proc/%s/maps", pid)
        pid = property_of(BEHIND, "dockmaster-gateway")
        assert "faketime" in host(BEHIND).check_output("cat /proc/%s/maps", pid)
        one.await_("the cluster works", 30, whole)
        container = start(BEHIND)
        one.inject("a container is started")
        one.await_(
            "both balancers have added its server", 20, lambda: all(has(balancer, container) for balancer in BALANCERS)
        )
        remove(BEHIND, container)
        one.inject("the container is removed")
        one.await_(
            "both balancers have removed its server",
            20,
            lambda: not any(container in name for b in BALANCERS for name in servers(b)),
        )
    within(30, whole)
