"""What a playbook has found, for syncs that ask nobody."""

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
    """These endpoints, and no others on the Docker hosts that are not unreachable."""
    return lambda known: snapshot.given(settings, known, endpoints, unhealthy, unreachable)
