"""One writer at a time."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import Busy

_mine = threading.local()
"""The folders that this thread has locked: the operator may keep in one what elsewhere is in two."""


@contextmanager
def folder_locked(folder: Path, timeout: float) -> Iterator[None]:
    """Hold the lock of a folder, so that no file has to be left behind for it; who holds it may take it again.

    Args:
        folder: the folder whose files are about to be written.
        timeout: seconds to wait for it.

    Raises:
        Busy: somebody else held it all the time.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        about = os.fstat(descriptor)
        held: set[tuple[int, int]] = vars(_mine).setdefault("held", set())
        which = (about.st_dev, about.st_ino)
        if which in held:
            yield
            return
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Busy(f"another sync has held {folder} for {timeout:g} s; nothing was changed") from None
                time.sleep(0.05)
        held.add(which)
        try:
            yield
        finally:
            held.remove(which)
    finally:
        os.close(descriptor)
