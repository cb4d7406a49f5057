"""How the watcher asks for a sync by root, the only one to write haproxy.cfg: a file that a path unit waits for."""

from __future__ import annotations

from pathlib import Path

from .. import files

FILE = "sync-wanted"
_RENEW = "renew"


def request(folder: Path, *, renew: bool = False) -> None:
    """Ask for a sync.

    Args:
        folder: the run directory.
        renew: with a reload, so that every server is as the file says.
    """
    if renew or not (folder / FILE).exists():
        files.replace(folder / FILE, f"{_RENEW if renew else 'sync'}\n")


def take(folder: Path) -> bool:
    """Take what is asked for off the list before it is done: what is asked for meanwhile is done after it.

    Returns:
        Whether HAProxy is to be reloaded.
    """
    taken = folder / f".{FILE}.taken"
    try:
        (folder / FILE).rename(taken)
    except FileNotFoundError:
        return False
    asked = files.read_left(taken) or ""
    taken.unlink(missing_ok=True)
    return asked.strip() == _RENEW
