"""What passes and the watcher leave for each other: read back, and never an error where it is damaged."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from dockmaster.state import history as remembered
from dockmaster.state import stopping as draining
from dockmaster.state import sync_request as requested
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


def test_what_was_left_is_known_together(tmp_path: Path) -> None:
    passed, watched = History(), History()
    passed.changed("web/a", "added", "pass")
    watched.changed("web/a", "drained", "kill")
    watched.changed("web/b", "added", "start")
    passed.answered("one")
    remembered.save(tmp_path, "sync", passed)
    remembered.save(tmp_path, "watch", watched)
    both = remembered.load(tmp_path)
    assert {server: change[1:] for server, change in both.changes.items()} == {
        "web/a": ("drained", "kill"),
        "web/b": ("added", "start"),
    }
    assert both.answers == passed.answers
    assert remembered.load(tmp_path, ("sync",)) == passed


def test_only_the_newest_changes_are_remembered() -> None:
    what = History()
    for number in range(remembered.MOST + 10):
        what.changed(f"web/{number}", "added", "start")
    what.changed("web/10", "drained", "kill")
    what.changed("web/new", "added", "start")
    assert len(what.changes) == remembered.MOST
    assert "web/10" in what.changes
    assert "web/11" not in what.changes


@ONE_FOLDER
@given(DAMAGED)
@example("[" * 100_000)
@example('{"answers": {"one": 1' + "0" * 400 + "}}")
@example('{"changes": {"web/a": [1e999, "added", "start"]}}')
def test_a_damaged_memory_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "watch.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    for at, kind, cause in remembered.load(tmp_path).changes.values():
        assert isinstance(time.localtime(at), time.struct_time)
        assert isinstance(kind + cause, str)


def test_who_was_told_to_stop_is_known_until_then(tmp_path: Path) -> None:
    now = time.monotonic()
    ports = frozenset({49001, 49002})
    told = {
        ("one", "a" * 64): Stopping(now + 30, ports),
        ("two", "b" * 64): Stopping(now - 1, ports),
        ("one", "c" * 64): Stopping(now + 1000, ports),
    }
    draining.save(tmp_path, told)
    assert draining.load(tmp_path, 60) == {("one", "a" * 64): Stopping(now + 30, ports)}
    draining.save(tmp_path, {})
    assert draining.load(tmp_path, 60) == {}


@ONE_FOLDER
@given(DAMAGED)
@example("[" * 100_000)
@example('[["one", "a"]]')
@example('[["one", "a", NaN, []], ["one", "b", "soon", []]]')
@example('[["one", "a", 1, [1e999]], ["one", "b", 1, "ports"]]')
def test_a_damaged_list_of_those_told_to_stop_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / draining.FILE).write_text(text, encoding="utf-8", errors="surrogatepass")
    assert all(isinstance(host, str) for host, _ in draining.load(tmp_path, 60))


def test_no_file_tells_nothing(tmp_path: Path) -> None:
    assert remembered.load(tmp_path / "none") == History()
    assert draining.load(tmp_path / "none", 60) == {}
    assert not requested.take(tmp_path / "none")


def test_a_pass_is_asked_for_once_and_a_reload_is_not_forgotten(tmp_path: Path) -> None:
    requested.request(tmp_path)
    requested.request(tmp_path, renew=True)
    requested.request(tmp_path)
    assert requested.take(tmp_path)
    assert not requested.take(tmp_path)
    requested.request(tmp_path)
    assert not requested.take(tmp_path)
    assert not (tmp_path / requested.FILE).exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"renew me", b"x" * 100_000])
def test_a_damaged_request_is_a_pass(tmp_path: Path, content: bytes) -> None:
    (tmp_path / requested.FILE).write_bytes(content)
    assert not requested.take(tmp_path)
    assert not (tmp_path / requested.FILE).exists()
