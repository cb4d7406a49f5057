"""Telling systemd that the watcher is ready, and that it is alive: the protocol of sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Speaks to the service manager, where one listens.

    Args:
        environment: holds NOTIFY_SOCKET and WATCHDOG_USEC where systemd started this process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.interval = int(microseconds) / 1e6 / 3 if microseconds.isdecimal() and int(microseconds) else None
        """Seconds after which it wants to be told again that the watcher is alive; None for never."""

    def ready(self) -> None:
        """The watcher has looked at everything once."""
        self._say("READY=1")

    def alive(self) -> None:
        """The watcher's loop goes round."""
        self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection,
        ):
            connection.sendto(text.encode(), self._address)
