"""A line of the log stays one line whatever the name of a container, and reads back."""

from __future__ import annotations

import json
import re

import pytest
from dockmaster.report.logfmt import logline
from hypothesis import given
from hypothesis import strategies as st


@given(st.text())
def test_any_value_stays_on_its_line_and_reads_back(value: str) -> None:
    line = logline(change="added", container=value, after_ms=1.25)
    assert line.splitlines() == [line]
    assert line.isascii()
    assert line.isprintable()
    found = re.fullmatch(r'change=added container=("(?:[^"\\]|\\.)*"|\S+) after_ms=1\.2', line)
    assert found
    assert (json.loads(found[1]) if found[1].startswith('"') else found[1]) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("web-1", "web-1"),
        ("[::1]:80", "[::1]:80"),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ("", '""'),
        ("a\nchange=added", r'"a\nchange=added"'),
        (3, "3"),
    ],
)
def test_plain_words_are_not_quoted(value: object, shown: str) -> None:
    assert logline(container=value) == f"container={shown}"


def test_missing_values_are_left_out() -> None:
    assert logline(change="added", container=None) == "change=added"
