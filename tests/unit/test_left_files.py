"""Files that syncs and the watcher leave each other: they read back, and damaged ones are no error."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from dockmaster.state import history, stopping, sync_request
from dockmaster.state.history import History
from dockmaster.state.stopping import Stopping
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["changes", "answers", "a"]), inner),
    max_leaves=8,
).map(json.dumps)
DAMAGED = st.text() | ANYTHING
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_history_of_syncs_and_watcher_is_merged(tmp_path: Path) -> None:
    passed, watched = History(), History()
    passed.changed("web/a", "added", "pass")
    watched.changed("web/a", "drained", "kill")
    watched.changed("web/b", "added", "start")
    passed.answered("one")
    history.save(tmp_path, "sync", passed)
    history.save(tmp_path, "watch", watched)
    both = history.load(tmp_path)
    assert {server: change[1:] for server, change in both.changes.items()} == {
        "web/a": ("drained", "kill"),
        "web/b": ("added", "start"),
    }
    assert both.answers == passed.answers
    assert history.load(tmp_path, ("sync",)) == passed


def test_history_keeps_only_the_newest_changes() -> None:
    what = History()
    for number in range(history.MOST + 10):
        what.changed(f"web/{number}", "added", "start")
    what.changed("web/10", "drained", "kill")
    what.changed("web/new", "added", "start")
    assert len(what.changes) == history.MOST
    assert "web/10" in what.changes
    assert "web/11" not in what.changes


@ONE_FOLDER
@given(DAMAGED)
@example("[" * 100_000)
@example('{"answers": {"one": 1' + "0" * 400 + "}}")
@example('{"changes": {"web/a": [1e999, "added", "start"]}}')
def test_damaged_history_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "watch.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    for at, kind, cause in history.load(tmp_path).changes.values():
        assert isinstance(time.localtime(at), time.struct_time)
        assert isinstance(kind + cause, str)


def test_stopping_containers_are_known_until_their_time_is_over(tmp_path: Path) -> None:
    now = time.monotonic()
    ports = frozenset({49001, 49002})
    stops = {
        ("one", "a" * 64): Stopping(now + 30, ports),
        ("two", "b" * 64): Stopping(now - 1, ports),
        ("one", "c" * 64): Stopping(now + 1000, ports),
    }
    stopping.save(tmp_path, stops)
    assert stopping.load(tmp_path, 60) == {("one", "a" * 64): Stopping(now + 30, ports)}
    stopping.save(tmp_path, {})
    assert stopping.load(tmp_path, 60) == {}


@ONE_FOLDER
@given(DAMAGED)
@example("[" * 100_000)
@example('[["one", "a"]]')
@example('[["one", "a", NaN, []], ["one", "b", "soon", []]]')
@example('[["one", "a", 1, [1e999]], ["one", "b", 1, "ports"]]')
def test_damaged_file_of_stopping_containers_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / stopping.FILE).write_text(text, encoding="utf-8", errors="surrogatepass")
    assert all(isinstance(host, str) for host, _ in stopping.load(tmp_path, 60))


def test_missing_file_means_no_stopping_container(tmp_path: Path) -> None:
    assert history.load(tmp_path / "none") == History()
    assert stopping.load(tmp_path / "none", 60) == {}
    assert not sync_request.take(tmp_path / "none")


def test_sync_request_is_taken_once_and_keeps_a_wanted_reload(tmp_path: Path) -> None:
    sync_request.request(tmp_path)
    sync_request.request(tmp_path, renew=True)
    sync_request.request(tmp_path)
    assert sync_request.take(tmp_path)
    assert not sync_request.take(tmp_path)
    sync_request.request(tmp_path)
    assert not sync_request.take(tmp_path)
    assert not (tmp_path / sync_request.FILE).exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"renew me", b"x" * 100_000])
def test_damaged_sync_request_is_a_plain_sync(tmp_path: Path, content: bytes) -> None:
    (tmp_path / sync_request.FILE).write_bytes(content)
    assert not sync_request.take(tmp_path)
    assert not (tmp_path / sync_request.FILE).exists()
