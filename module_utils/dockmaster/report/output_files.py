"""The backends of each service as a JSON file, for programs of the operator's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import files
from ..model.endpoint import Endpoint


def write(folder: Path | None, backends: Mapping[str, Sequence[Endpoint]]) -> None:
    """One file a service, as Synapse writes it; a file that says so already is left alone."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for service, found in backends.items():
        entries = [
            {"name": one.server_name(with_host=True), "host": one.host, "port": one.port} for one in sorted(found)
        ]
        text = json.dumps(entries, indent=1) + "\n"
        path = folder / f"{service}.json"
        if files.read(path) != text:
            files.replace(path, text)
