"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST = 16 * 1024 * 1024
"""Characters that are read of a file which somebody else may have left."""


def read(path: Path) -> str | None:
    """The text of a file, or None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def read_left(path: Path) -> str | None:
    """The text of a file that a user with fewer rights may have left: only of a real one, and of bounded size."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        text = file.read(LARGEST + 1)
    return text if len(text) <= LARGEST else None


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
            _same_rights(path, file.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)


def replace(path: Path, text: str) -> None:
    """Put text into path at one stroke."""
    with candidate(path, text) as beside:
        beside.replace(path)


def _same_rights(path: Path, descriptor: int) -> None:
    """Give an open file the rights of the one there: by its descriptor, for a name may stand for another by now."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    if stat.S_ISLNK(there.st_mode):
        there = path.stat()
    os.fchmod(descriptor, there.st_mode & 0o777)
    if os.geteuid() == 0:
        os.fchown(descriptor, there.st_uid, there.st_gid)


def version(path: Path) -> tuple[int, int, int] | None:
    """What tells whether a file has changed; None where there is none."""
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_ino, there.st_mtime_ns, there.st_size
