"""What a container may say of itself by its labels, as far as the operator lets it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .endpoint import valid_port

PREFIX = "dockmaster."
SERVICE_LABEL = "dockmaster.service"
KINDS = ("service", "port", "weight", "backup", "maxconn")
"""Labels that there are; which of them count for a service is the operator's choice."""

_NUMBER = re.compile(r"[0-9]{1,9}\Z")


@dataclass(frozen=True)
class Overrides:
    """What a container's labels change of its server; None or False is what the service has."""

    port: int | None = None
    weight: int | None = None
    backup: bool = False
    maxconn: int | None = None


def overrides(labels: Mapping[str, str], allowed: Collection[str]) -> Overrides:
    """Read the labels that count; raises ValueError with label, value and what was expected."""

    def text(kind: str) -> str | None:
        return labels.get(PREFIX + kind) if kind in allowed else None

    port = _number("port", text("port"), 65535)
    if port is not None:
        valid_port(port)
    backup = text("backup")
    if backup not in (None, "true", "false"):
        raise ValueError(f"label dockmaster.backup: {_shown(backup)}: expected true or false")
    return Overrides(
        port=port,
        weight=_number("weight", text("weight"), 256),
        backup=backup == "true",
        maxconn=_number("maxconn", text("maxconn"), 1_000_000),
    )


def _number(kind: str, text: str | None, largest: int) -> int | None:
    if text is None:
        return None
    if not _NUMBER.match(text) or not text.isascii() or int(text) > largest:
        raise ValueError(f"label dockmaster.{kind}: {_shown(text)}: expected a whole number from 0 to {largest}")
    return int(text)


def _shown(text: str | None) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
