"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read(path: Path) -> str | None:
    """The text of a file, or None where there is none. A pipe in its place is empty, and holds nobody up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


@contextmanager
def candidate(path: Path, text: str) -> Iterator[Path]:
    """A finished file beside path, with the rights of the one there; gone at the end unless renamed."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _same_rights(path, beside)
        yield beside
    finally:
        beside.unlink(missing_ok=True)


def replace(path: Path, text: str) -> None:
    """Put text into path at one stroke."""
    with candidate(path, text) as beside:
        beside.replace(path)


def _same_rights(path: Path, beside: Path) -> None:
    try:
        there = path.stat()
    except FileNotFoundError:
        beside.chmod(0o644)
        return
    beside.chmod(there.st_mode & 0o7777)
    os.chown(beside, there.st_uid, there.st_gid)
