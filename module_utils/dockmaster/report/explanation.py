"""``dockmaster explain`` as text."""

from __future__ import annotations

from collections.abc import Iterator

from ..explain import Explained, Explanation


def text(explained: Explained) -> str:
    """A paragraph for each server, and a line for each container that cannot serve."""
    lines = [line for one in explained.servers for line in _lines(one)]
    for one in explained.rejected:
        what = f" for {one.service}" if one.service else ""
        lines.append(f"{one.container} on {one.docker_host} gets no traffic: it is rejected{what}: {one.reason}")
    if not lines:
        lines.append(f"{explained.name} has no servers: no source lists an endpoint of it")
    return "\n".join(lines).rstrip("\n")


def _lines(one: Explanation) -> Iterator[str]:
    place = f" ({one.container} on {one.docker_host})" if one.container else ""
    gets = "gets traffic" if one.gets_traffic else "gets no traffic"
    yield f"{one.service}/{one.server}{place} at {one.address} {gets}: {one.reason}."
    for step in one.steps:
        yield f"  {'=>' if step.decides else '  '} {step.question} {step.fact}."
    yield f"  {one.haproxy}."
    if one.to_change:
        yield f"  To change that: {one.to_change}."
    yield ""
