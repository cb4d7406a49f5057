#!/usr/bin/python3
"""Installs Python sources as one executable file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zip_application
short_description: Install Python sources as one executable zip application
description:
  - Writes one file that Python runs. The same sources give the same bytes, whenever and wherever it is
    made, so that a run without a change changes nothing, and a file that was deleted from the sources
    is gone from the application too.
options:
  dest:
    description: Path of the application.
    type: path
    required: true
  sources:
    description: Text by path inside the application. One of them has to be V(__main__.py).
    type: dict
    required: true
  interpreter:
    description: What stands behind C(#!).
    type: str
    default: /usr/bin/python3 -I
  mode:
    description: Permissions of the file.
    type: str
    default: "0755"
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Names the sources that differ.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
author:
  - Dockmaster's developers
"""

EXAMPLES = r"""
- name: Install a command
  zip_application:
    dest: /usr/local/bin/hello
    sources:
      __main__.py: print("hello")
"""

RETURN = r"""
dest:
  description: Path of the application.
  returned: success
  type: str
"""

import io
import zipfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "sources": {"type": "dict", "required": True},
            "interpreter": {"type": "str", "default": "/usr/bin/python3 -I"},
            "mode": {"type": "str", "default": "0755"},
        },
        supports_check_mode=True,
    )
    sources = module.params["sources"]
    if "__main__.py" not in sources:
        module.fail_json(msg=f"sources: expected __main__.py among {', '.join(sorted(sources))}")
    dest = Path(module.params["dest"])
    before = dest.read_bytes() if dest.exists() else b""
    after = application(sources, module.params["interpreter"])
    changed = before != after
    if changed and not module.check_mode:
        beside = Path(module.tmpdir) / dest.name
        beside.write_bytes(after)
        module.atomic_move(str(beside), str(dest))
    if dest.exists():
        changed = module.set_mode_if_different(str(dest), module.params["mode"], changed)
    names = {"before": "\n".join(sorted(texts(before))) + "\n", "after": "\n".join(sorted(texts(after))) + "\n"}
    module.exit_json(changed=changed, dest=str(dest), diff=names)


def application(sources: dict[str, str], interpreter: str) -> bytes:
    """The application's bytes: sorted, stored, and with a fixed date."""
    memory = io.BytesIO()
    memory.write(f"#!{interpreter}\n".encode())
    with zipfile.ZipFile(memory, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, FIXED_DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, sources[name])
    return memory.getvalue()


def texts(data: bytes) -> list[str]:
    """Each source of an application with its checksum, for the diff."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [f"{entry.filename} {entry.CRC:08x}" for entry in archive.infolist()]


if __name__ == "__main__":
    main()
