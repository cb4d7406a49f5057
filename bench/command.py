"""The command ``dockmaster`` as the role installs it: one file, run by the Python of the system."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipapp
from pathlib import Path

from .place import ROOT, RUN

PYTHON = "/usr/bin/python3"
TEMPLATE = ROOT / "roles" / "haproxy" / "templates" / "haproxy.cfg.j2"
DOCKMASTER = RUN / "dockmaster"
DRAIN_SECONDS = 15


def install() -> None:
    """Create the file."""
    with tempfile.TemporaryDirectory() as name:
        sources = Path(name) / "sources"
        shutil.copytree(ROOT / "module_utils", sources, ignore=shutil.ignore_patterns("__pycache__"))
        (sources / "__main__.py").write_text("import dockmaster.__main__\n")
        zipapp.create_archive(sources, DOCKMASTER, f"{PYTHON} -I")


def sync(config: Path, *arguments: str) -> list[str]:
    """Return the command line of a sync."""
    return [str(DOCKMASTER), "sync", "--config", str(config), "--template", str(TEMPLATE), *arguments]


def drain(config: Path, word: str, container: str) -> None:
    """Drain a container and wait for its requests (``drain``), or make it ready again (``ready``)."""
    wait = ["--wait", str(DRAIN_SECONDS)] if word == "drain" else []
    line = [str(DOCKMASTER), word, "container", container, *wait]
    subprocess.run([*line, "--config", str(config), "--template", str(TEMPLATE)], check=True, stdout=subprocess.DEVNULL)


def watch(config: Path) -> list[str]:
    """Return the command line of the watcher."""
    return [str(DOCKMASTER), "watch", "--config", str(config)]
