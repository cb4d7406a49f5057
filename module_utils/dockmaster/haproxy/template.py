"""Services and backends to the text of haproxy.cfg, through the one template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from ..config.keywords import for_section
from ..config.settings import Proxy, Service, Settings
from ..errors import TemplateError
from .servers import Server

MANAGED = "# Managed by Dockmaster."
"""How a file begins that this bundle wrote: any other is the operator's, and is kept."""


def context(settings: Settings, servers: Mapping[str, Sequence[Server]], template: str) -> dict[str, Any]:
    """What the template takes, as plain data: the same for every door that renders it."""
    services = [_service(service, settings, servers[service.name]) for service in settings.services]
    return {
        "haproxy": dict(settings.haproxy.template),
        "services": services,
        "structure": _structure(settings, services, template),
    }


def render(template: str, values: Mapping[str, Any]) -> str:
    """The text of haproxy.cfg, as ansible.builtin.template would give it; raises TemplateError."""
    environment = jinja2.Environment(
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: "" if value is None else value,
    )
    try:
        return environment.from_string(template).render(values)
    except jinja2.TemplateError as error:
        line = getattr(error, "lineno", None)
        raise TemplateError(f"the template{f', line {line}' if line else ''}: {error}") from error


def _service(service: Service, settings: Settings, servers: Sequence[Server]) -> dict[str, Any]:
    proxy = service.proxy
    lines = [*settings.haproxy.template["defaults"], *proxy.listen, *proxy.frontend, *proxy.backend]
    return {
        "name": service.name,
        "mode": _mode(lines),
        "bind": proxy.bind,
        "bind_options": proxy.bind_options,
        "split": proxy.split,
        "lines": list(proxy.listen),
        "frontend": [*for_section(proxy.listen, "frontend"), *proxy.frontend],
        "backend": [*for_section(proxy.listen, "backend"), *proxy.backend],
        "backend_name": proxy.backend_name,
        "default_backend": None if _names_its_backend(proxy) else proxy.backend_name,
        "shared_frontend": list(proxy.shared_frontend),
        "servers": [{"name": server.name, "address": server.address, "options": server.options} for server in servers],
        "server_options": proxy.server_options,
    }


def _names_its_backend(proxy: Proxy) -> bool:
    return any(line.split()[:1] == ["default_backend"] for line in (*proxy.listen, *proxy.frontend))


def _mode(lines: Sequence[str]) -> str:
    """``http`` or ``tcp``: what the last line that names a mode says."""
    modes = [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "mode"]
    return modes[-1] if modes else "tcp"


def _structure(settings: Settings, services: list[dict[str, Any]], template: str) -> str:
    """A digest of all but the servers: what a running HAProxy says of itself tells whether it has this."""
    bare = [{**service, "servers": []} for service in services]
    text = json.dumps([settings.haproxy.template, bare, template], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
