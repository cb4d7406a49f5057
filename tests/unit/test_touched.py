"""The file of servers that the watcher has changed lately."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dockmaster.state import changed_servers


def test_changed_servers_since_a_time_are_returned(tmp_path: Path) -> None:
    changed_servers.add(tmp_path, ("web", "a"))
    between = time.monotonic()
    changed_servers.add(tmp_path, ("web", "b"))
    changed_servers.add(tmp_path, ("api", "host1_c"))
    assert changed_servers.since(tmp_path, between) == {("web", "b"), ("api", "host1_c")}
    assert len(changed_servers.since(tmp_path, 0)) == 3


def test_damaged_lines_are_ignored(tmp_path: Path) -> None:
    changed_servers.add(tmp_path, ("web", "a"))
    with (tmp_path / changed_servers.FILE).open("ab") as file:
        file.write(b"\xff\nsoon web/b\n\n")
    assert changed_servers.since(tmp_path, 0) == {("web", "a")}


def test_missing_file_means_no_changed_server(tmp_path: Path) -> None:
    assert changed_servers.since(tmp_path, 0) == frozenset()


def test_missing_folder_is_no_error(tmp_path: Path) -> None:
    changed_servers.add(tmp_path / "gone", ("web", "a"))
    assert not (tmp_path / "gone").exists()


def test_long_file_keeps_only_recent_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changed_servers, "_LARGEST", 1000)
    old = time.monotonic() - changed_servers.KEPT - 1
    (tmp_path / changed_servers.FILE).write_text("".join(f"{old} web/old{number}\n" for number in range(100)))
    changed_servers.add(tmp_path, ("web", "new"))
    assert (tmp_path / changed_servers.FILE).read_text().count("\n") == 1
    assert changed_servers.since(tmp_path, 0) == {("web", "new")}
