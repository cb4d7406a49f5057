"""Run plays on this machine with the Python of the system and without the installed command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def play(
    tasks: list[dict[str, Any]],
    folder: Path,
    *,
    variables: dict[str, Any] | None = None,
    arguments: tuple[str, ...] = (),
    expect_failure: bool = False,
) -> str:
    """Run tasks in a real play, and return the output. An unexpected failure fails the test."""
    playbook = folder / "play.yml"
    playbook.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": variables or {}, "tasks": tasks}])
    )
    extra = json.dumps({"ansible_python_interpreter": "/usr/bin/python3"})
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "--inventory=localhost,",
        "--connection=local",
        f"--extra-vars={extra}",
        *arguments,
        str(playbook),
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == expect_failure, output
    return output
