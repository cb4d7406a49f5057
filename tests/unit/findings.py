"""Endpoints as a playbook finds them, for syncs that ask no source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dockmaster import snapshot
from dockmaster.config.settings import Settings
from dockmaster.model.endpoint import Endpoint


def finds(
    settings: Settings,
    endpoints: Mapping[str, Sequence[Endpoint]],
    unhealthy: Mapping[str, Sequence[Endpoint]] | None = None,
    unreachable: Mapping[str, str] | None = None,
) -> snapshot.Find:
    """Return answers with these endpoints and no others; some Docker hosts may be unreachable."""
    return lambda known: snapshot.given(settings, known, endpoints, unhealthy, unreachable)
