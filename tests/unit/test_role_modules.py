"""The small modules that roles use, in real plays."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_runs import play

USER = {"owner": str(os.getuid()), "group": str(os.getgid())}


def written(folder: Path, **options: Any) -> list[dict[str, Any]]:
    """Tasks that make a folder and a file in it."""
    files = [{"path": str(folder / "made"), **USER}, {"path": str(folder / "made" / "a"), "mode": "0640", **USER}]
    return [{"files": {"files": [files[0], {"content": "hello\n", **files[1], **options}]}}]


def test_files_are_written_once(folder: Path) -> None:
    assert "changed=1" in play(written(folder), folder)
    assert (folder / "made" / "a").read_text() == "hello\n"
    assert (folder / "made" / "a").stat().st_mode & 0o777 == 0o640
    assert (folder / "made").stat().st_mode & 0o777 == 0o755
    assert "changed=0" in play(written(folder), folder)


def test_files_show_in_check_mode_what_they_would_write(folder: Path) -> None:
    output = play(written(folder), folder, arguments=("--check", "--diff"))
    assert "+hello" in output
    assert not (folder / "made").exists()


def test_files_bring_permissions_back(folder: Path) -> None:
    play(written(folder), folder)
    (folder / "made" / "a").chmod(0o666)
    output = play(written(folder), folder, arguments=("--diff",))
    assert "changed=1" in output
    assert "0640" in output
    assert (folder / "made" / "a").stat().st_mode & 0o777 == 0o640


def test_file_that_is_not_valid_does_not_replace_another(folder: Path) -> None:
    play(written(folder), folder)
    output = play(written(folder, content="other\n", validate="grep hello %s"), folder, expect_failure=True)
    assert "not valid" in output
    assert (folder / "made" / "a").read_text() == "hello\n"


def test_host_info_reads_packages_and_records(folder: Path) -> None:
    (folder / "records").mkdir()
    (folder / "records" / "haproxy.json").write_text(json.dumps({"was_installed": False}))
    output = play(
        [
            {"host_info": {"records": str(folder / "records")}, "register": "found"},
            {"ansible.builtin.debug": {"msg": "{{ 'dpkg' in found.packages }} {{ found.records | to_json }}"}},
        ],
        folder,
    )
    assert 'True {"haproxy": {"was_installed": false}}' in output


@pytest.mark.parametrize("text", ["", "{"])
def test_host_info_names_a_record_that_cannot_be_read(folder: Path, text: str) -> None:
    (folder / "haproxy.json").write_text(text)
    output = play([{"host_info": {"records": str(folder)}}], folder, expect_failure=True)
    assert str(folder / "haproxy.json") in " ".join(output.split())


def test_listeners_info_tells_the_command_line_of_who_listens(folder: Path) -> None:
    output = play(
        [
            {"listeners_info": None, "register": "found"},
            {
                "ansible.builtin.assert": {
                    "that": "found.listeners | rejectattr('pid', 'none') | rejectattr('command') | length == 0"
                }
            },
        ],
        folder,
    )
    assert "failed=0" in output
