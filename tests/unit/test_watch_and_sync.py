"""A watcher and syncs at once, with a real HAProxy and a real client. Docker is simulated."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from dockmaster import sync
from dockmaster.errors import Busy
from dockmaster.lock import folder_locked
from dockmaster.state import changed_servers
from waiting import until
from watching import Watched, container_id

Start = Callable[[], None]


@contextmanager
def syncs(around: Watched, over: threading.Event) -> Iterator[list[str]]:
    """Run syncs in two threads during the block. Yields what they did."""
    done: list[str] = []

    def work() -> None:
        while not over.is_set() and len(done) < 1000:
            done.append(around.sync().applied.action)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        yield done
        assert all(worker.is_alive() for worker in workers), "a sync has failed"
    finally:
        over.set()
        for worker in workers:
            worker.join(60)


@contextmanager
def client(port: int, over: threading.Event) -> Iterator[list[int]]:
    """Run a steady client on new and kept connections. Yields its statuses; 0 is no answer."""
    statuses: list[int] = []

    def work(kept: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while not over.is_set() and len(statuses) < 100_000:
            try:
                connection.request("GET", "/")
                with connection.getresponse() as response:
                    response.read()
                    statuses.append(response.status)
            except OSError:
                statuses.append(0)
                connection.close()
            if not kept:
                connection.close()
        connection.close()

    clients = [threading.Thread(target=work, args=(kept,)) for kept in (True, False)]
    for one in clients:
        one.start()
    try:
        yield statuses
    finally:
        over.set()
        for one in clients:
            one.join(60)


def test_watcher_and_two_syncs_at_once_agree_and_lose_no_request(around: Watched, start_haproxy: Start) -> None:
    webs = {number: around.run(number) for number in (1, 2)}
    around.first_pass()
    start_haproxy()
    around.watch()
    around.up(1, 2)
    over = threading.Event()
    chance = random.Random(4)
    running = {1, 2}
    with client(around.service["haproxy"]["port"], over) as statuses, syncs(around, over) as done:
        until(lambda: len(statuses) > 20 and len(done) > 2)
        for number in range(3, 15):
            webs[number] = around.start(number)
            around.up(number)
            running.add(number)
            leaving = chance.choice(sorted(running - {number}))
            around.event(leaving, "kill", signal="15")
            until(lambda one=leaving: around.told(one) != "ready")  # type: ignore[misc]
            running.discard(leaving)
            around.gone(leaving)
            around.event(leaving, "die")
    usable = {one.name.partition("_")[0] for one in around.runtime.servers() if one.usable}
    assert usable == {f"{number:02x}" * 6 for number in running}
    assert around.sync().applied.action in ("none", "write", "runtime")
    assert around.sync().applied.action == "none"
    assert set(statuses) == {200}
    assert "reload" not in done
    assert not [line for line in around.log if "error=" in line]


def test_sync_does_not_wait_for_the_watcher_if_only_that_has_made_changes(
    around: Watched, start_haproxy: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.run(1)
    around.first_pass()
    start_haproxy()
    web = around.run(2)
    folder = around.settings.haproxy.run_directory
    assert folder != around.settings.haproxy.config_file_path.parent
    monkeypatch.setattr(sync, "LOCK_TIMEOUT", 0.2)
    with ThreadPoolExecutor() as elsewhere, folder_locked(folder, 1):
        with pytest.raises(Busy):
            elsewhere.submit(around.sync).result()
        around.api.listing = lambda: changed_servers.add(folder, ("web", f"{container_id(2)[:12]}_{web.port}"))
        assert elsewhere.submit(around.sync).result().applied.action in ("none", "write")
    # The watcher did not make this change, so the next sync does.
    around.api.listing = lambda: None
    assert around.sync().applied.action == "runtime"
    around.up(1, 2)
