"""Which servers the watcher has changed lately."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dockmaster.state import changed_servers as touched


def test_who_asks_hears_of_what_was_changed_since(tmp_path: Path) -> None:
    touched.add(tmp_path, ("web", "a"))
    between = time.monotonic()
    touched.add(tmp_path, ("web", "b"))
    touched.add(tmp_path, ("api", "host1_c"))
    assert touched.since(tmp_path, between) == {("web", "b"), ("api", "host1_c")}
    assert len(touched.since(tmp_path, 0)) == 3


def test_damaged_lines_say_nothing(tmp_path: Path) -> None:
    touched.add(tmp_path, ("web", "a"))
    with (tmp_path / touched.FILE).open("ab") as file:
        file.write(b"\xff\nsoon web/b\n\n")
    assert touched.since(tmp_path, 0) == {("web", "a")}


def test_nothing_is_known_where_nobody_watches(tmp_path: Path) -> None:
    assert touched.since(tmp_path, 0) == frozenset()


def test_a_folder_that_is_gone_holds_nobody_up(tmp_path: Path) -> None:
    touched.add(tmp_path / "gone", ("web", "a"))
    assert not (tmp_path / "gone").exists()


def test_only_what_is_recent_is_kept_of_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touched, "_LARGEST", 1000)
    old = time.monotonic() - touched.KEPT - 1
    (tmp_path / touched.FILE).write_text("".join(f"{old} web/old{number}\n" for number in range(100)))
    touched.add(tmp_path, ("web", "new"))
    assert (tmp_path / touched.FILE).read_text().count("\n") == 1
    assert touched.since(tmp_path, 0) == {("web", "new")}
