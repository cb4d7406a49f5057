"""The command ``dockmaster`` as the role installs it: one file, run by the system's own Python."""

from __future__ import annotations

import shutil
import tempfile
import zipapp
from pathlib import Path

from .place import ROOT, RUN

PYTHON = "/usr/bin/python3"
TEMPLATE = ROOT / "roles" / "haproxy" / "templates" / "haproxy.cfg.j2"
DOCKMASTER = RUN / "dockmaster"


def install() -> None:
    """Make the file."""
    with tempfile.TemporaryDirectory() as name:
        sources = Path(name) / "sources"
        shutil.copytree(ROOT / "module_utils", sources, ignore=shutil.ignore_patterns("__pycache__"))
        (sources / "__main__.py").write_text("import dockmaster.__main__\n")
        zipapp.create_archive(sources, DOCKMASTER, f"{PYTHON} -I")


def sync(config: Path, *arguments: str) -> list[str]:
    """The command line of a pass."""
    return [str(DOCKMASTER), "sync", "--config", str(config), "--template", str(TEMPLATE), *arguments]


def watch(config: Path) -> list[str]:
    """The command line of the watcher."""
    return [str(DOCKMASTER), "watch", "--config", str(config)]
