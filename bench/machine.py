"""Describe the machine that the figures are measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from .command import PYTHON
from .haproxy import HAPROXY


def describe() -> dict[str, str]:
    """Return processor, memory, and the versions of the measured programs."""
    cpu = _field("/proc/cpuinfo", "model name")
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0]) / 1024 / 1024
    return {
        "processor": cpu,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "Docker": _first_line("dockerd", "--version").split(" ", 2)[2],
        "HAProxy": _first_line(HAPROXY, "-v").split()[2],
        "Python": _first_line(PYTHON, "--version").split()[1],
    }


def _field(path: str, name: str) -> str:
    lines = (line.split(":", 1) for line in Path(path).read_text().splitlines() if ":" in line)
    return next(value.strip() for key, value in lines if key.strip() == name)


def _first_line(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
