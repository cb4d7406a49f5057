"""The watcher's notifications to systemd, over a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dockmaster.watch.systemd import Notifier
from waiting import until
from watching import Watched


@pytest.fixture
def manager(folder: Path) -> Iterator[socket.socket]:
    """Return the socket of the service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(folder / "notify.sock"))
        listening.settimeout(10)
        yield listening


def test_notifier_sends_ready_and_alive(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready()
    notifier.alive()
    assert [manager.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]


def test_notifier_reaches_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")
        listening.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{listening.getsockname()[1:].decode()}"}).ready()
        assert listening.recv(100) == b"READY=1"


def test_notifier_without_a_service_manager_sends_nothing() -> None:
    notifier = Notifier({})
    notifier.ready()
    assert notifier.interval is None


@pytest.mark.parametrize(
    ("usec", "seconds"), [("30000000", 10.0), ("", None), ("soon", None), ("-1", None), ("0", None)]
)
def test_watchdog_is_notified_three_times_per_interval(usec: str, seconds: float | None) -> None:
    assert Notifier({"WATCHDOG_USEC": usec}).interval == seconds


def test_simulated_watcher_is_ready_and_alive_while_haproxy_does_not_answer(
    around: Watched, start_haproxy: Callable[[], None], manager: socket.socket
) -> None:
    around.run(1)
    around.first_pass()
    around.watch(Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "300000"}), ready=False)
    assert manager.recv(100) == b"WATCHDOG=1"
    until(lambda: manager.recv(100) == b"READY=1")
    start_haproxy()
    until(lambda: around.told(1) == "ready")
    until(lambda: manager.recv(100) == b"WATCHDOG=1")
