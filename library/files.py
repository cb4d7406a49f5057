#!/usr/bin/python3
"""Writes the files and folders of a role in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Write several files and folders in one call
description:
  - Does for a list of small text files what M(ansible.builtin.copy) and M(ansible.builtin.file) do for one. Each task
    costs a third of a second and more, on every host and in every run, also where nothing changes.
  - Each file is written beside its place, validated, and moved there.
options:
  files:
    description: Files and folders, in the order in which they are made.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is.
        type: path
        required: true
      content:
        description: The text of a file; without it, the path is a folder.
        type: str
      owner:
        description: Its owner.
        type: str
        default: root
      group:
        description: Its group.
        type: str
        default: root
      mode:
        description: Its permissions; V(0755) for a folder and V(0644) for a file where nothing is said.
        type: str
      validate:
        description: A command that has to accept the file before it is moved to its place; C(%s) is its path.
        type: str
attributes:
  check_mode:
    description: Can run in check mode, in which nothing is validated.
    support: full
  diff_mode:
    description: Shows each file that differs.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
author:
  - Dockmaster's developers
"""

EXAMPLES = r"""
- name: Write the configuration
  files:
    files:
      - path: /etc/hello
      - path: /etc/hello/hello.yml
        content: "greeting: hello\n"
        validate: /usr/bin/hello check %s
"""

RETURN = r"""
paths:
  description: The paths that have changed.
  returned: success
  type: list
  elements: str
  sample: [/etc/hello/hello.yml]
"""

import shlex
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str"},
                    "owner": {"type": "str", "default": "root"},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str"},
                    "validate": {"type": "str"},
                },
            }
        },
        supports_check_mode=True,
    )
    diffs: list[dict[str, Any]] = []
    for wanted in module.params["files"]:
        diff: dict[str, Any] = {}
        if made(module, wanted, diff) | attributed(module, wanted, diff):
            header = wanted["path"]
            diffs.append({"before_header": header, "after_header": header, "before": "", "after": "", **diff})
    paths = [diff["after_header"] for diff in diffs]
    module.exit_json(changed=bool(paths), paths=paths, diff=diffs)


def made(module: AnsibleModule, wanted: dict[str, Any], diff: dict[str, Any]) -> bool:
    """Make the folder, or write the file, where it is not as wanted; returns whether it was not."""
    path = Path(wanted["path"])
    if wanted["content"] is None:
        if path.is_dir():
            return False
        diff |= {"after": "folder\n"}
        if not module.check_mode:
            path.mkdir(parents=True)
        return True
    before, after = path.read_bytes() if path.exists() else None, wanted["content"].encode()
    if before == after:
        return False
    diff |= {"before": (before or b"").decode(errors="replace"), "after": wanted["content"]}
    if not module.check_mode:
        beside = Path(module.tmpdir) / path.name
        beside.write_bytes(after)
        validate(module, wanted, beside)
        module.atomic_move(str(beside), str(path))
    return True


def validate(module: AnsibleModule, wanted: dict[str, Any], beside: Path) -> None:
    """Fail where the command that has to accept the file does not."""
    if wanted["validate"]:
        command = [word.replace("%s", str(beside)) for word in shlex.split(wanted["validate"])]
        status, output, errors = module.run_command(command)
        if status != 0:
            module.fail_json(msg=f"{wanted['path']}: not valid: {(errors or output).strip()}")


def attributed(module: AnsibleModule, wanted: dict[str, Any], diff: dict[str, Any]) -> bool:
    """Set owner, group and permissions; returns whether they were others."""
    if not Path(wanted["path"]).exists():
        # In check mode, it has not been made.
        return False
    mode = wanted["mode"] or ("0755" if wanted["content"] is None else "0644")
    attributes = module.load_file_common_arguments({**wanted, "mode": mode})
    difference: dict[str, Any] = {}
    changed = bool(module.set_fs_attributes_if_different(attributes, False, diff=difference))
    if changed and not diff:
        diff |= {side: f"{difference[side]}\n" for side in ("before", "after")}
    return changed


if __name__ == "__main__":
    main()
