#!/usr/bin/python3
"""What roles ask of a host before they change it: its packages, the records of earlier runs, and systemd."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Tell which packages a host has, and what earlier runs recorded
description:
  - Asks dpkg, and needs no C(python3-apt), which a bare host lacks.
options:
  records:
    description: Folder of the records. Each is a JSON file.
    type: path
    required: true
attributes:
  check_mode:
    description: Runs in check mode as otherwise; it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author:
  - Dockmaster's developers
"""

EXAMPLES = r"""
- name: Look at the host
  host_info:
    records: /var/lib/dockmaster/record
  register: found
"""

RETURN = r"""
packages:
  description: Names of the packages that are installed.
  returned: success
  type: list
  elements: str
  sample: [cron, haproxy]
records:
  description: The content of each record, by the name of its file without C(.json).
  returned: success
  type: dict
  sample: {"haproxy": {"was_installed": false}}
systemd:
  description: Whether systemd runs the host.
  returned: success
  type: bool
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"records": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    module.exit_json(
        packages=packages(module),
        records=records(module, Path(module.params["records"])),
        systemd=Path("/run/systemd/system").is_dir(),
    )


def packages(module: AnsibleModule) -> list[str]:
    """Names of the installed packages; those on hold are installed too."""
    query = module.get_bin_path("dpkg-query", required=True)
    _, output, _ = module.run_command([query, "--show", "--showformat=${db:Status-Status} ${Package}\n"], check_rc=True)
    lines = (line.partition(" ") for line in output.splitlines())
    return sorted({name for status, _, name in lines if status == "installed"})


def records(module: AnsibleModule, folder: Path) -> dict[str, Any]:
    """Content of each record in the folder."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = json.loads(path.read_text())
        except ValueError as error:
            module.fail_json(msg=f"{path}: {error}: expected the JSON that a role wrote")
    return found


if __name__ == "__main__":
    main()
