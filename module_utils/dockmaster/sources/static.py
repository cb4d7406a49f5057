"""The source ``static``: the default servers of the configuration. It always answers, and never changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..config.settings import Service, Settings
from .protocol import Answer, Follower, Known, Listing, Messages

NAME = "static"


class Static:
    """The default servers of all services.

    Args:
        services: those of the configuration.
    """

    name = NAME

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services

    def ask(self, known: Known, timeout: int) -> Answer:  # noqa: ARG002
        """The default servers."""
        return self.read((), known)

    def read(self, entries: Sequence[Any], known: Known) -> Answer:  # noqa: ARG002
        """The default servers, whatever is listed."""
        return Answer({service.name: service.default_servers for service in self._services})

    def follow(self, messages: Messages, resync_interval: float) -> Follower:  # noqa: ARG002
        """List them once."""
        messages.put(Listing(NAME, (), None, time.monotonic()))
        return _Nothing()


class _Nothing:
    def end(self) -> None:
        """There is nothing to stop."""

    def read_anew(self) -> None:
        """Nothing changes."""


def sources(settings: Settings) -> dict[str, Static]:
    """One source, whatever the configuration has."""
    return {NAME: Static(settings.services)}
