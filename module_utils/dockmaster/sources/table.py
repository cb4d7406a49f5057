"""Every kind of source that there is: a new one is a file or a folder, and a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..config.settings import Settings
from . import static
from .docker import source as docker
from .protocol import Source

KINDS: Mapping[str, Callable[[Settings], Mapping[str, Source]]] = {
    "docker": docker.sources,
    static.NAME: static.sources,
}
"""By the name of its kind: gives the sources of that kind that a configuration has, by name."""


def sources(settings: Settings) -> dict[str, Source]:
    """All sources of a configuration by name."""
    return {name: source for kind in KINDS.values() for name, source in kind(settings).items()}
