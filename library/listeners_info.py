#!/usr/bin/python3
"""Who listens on which TCP port, from what the kernel says."""

from __future__ import annotations

DOCUMENTATION = r"""
module: listeners_info
short_description: Tell which processes listen on TCP ports
description:
  - Reads the kernel's tables, and needs neither C(ss) nor C(netstat), which a bare host lacks.
  - A process that is hidden from here (of another container, or of another user where root may not look
    into it) has the name V(hidden) and no process id.
options:
  ports:
    description: Ports to tell about.
    type: list
    elements: int
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
- name: Who has the ports
  listeners_info:
    ports: [80, 443]
  register: listeners
"""

RETURN = r"""
listeners:
  description: One entry for each process and port.
  returned: success
  type: list
  elements: dict
  sample:
    - {port: 80, name: nginx, pid: 812}
"""

from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

LISTEN = "0A"
HIDDEN = "hidden"


def main() -> None:
    """Run the module."""
    spec = {"ports": {"type": "list", "elements": "int", "required": True}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    wanted = set(module.params["ports"])
    sockets = {inode: port for inode, port in listening() if port in wanted}
    held = {(port, *holder) for inode, holder in holders(sockets) for port in [sockets[inode]]}
    nameless = set(sockets.values()) - {port for port, _, _ in held}
    found = [{"port": port, "name": name, "pid": pid} for port, name, pid in sorted(held)]
    found += [{"port": port, "name": HIDDEN, "pid": None} for port in sorted(nameless)]
    module.exit_json(listeners=found)


def listening() -> Iterator[tuple[str, int]]:
    """Inode and port of every listening TCP socket, IPv4 and IPv6."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == LISTEN:
                yield fields[9], int(fields[1].rpartition(":")[2], 16)


def holders(inodes: dict[str, int]) -> Iterator[tuple[str, tuple[str, int]]]:
    """Inode, name and process id for each process that holds one of the sockets."""
    targets = {f"socket:[{inode}]": inode for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()}
            name = (process / "comm").read_text().strip()
        except OSError:
            # It has ended meanwhile, or may not be looked into.
            continue
        for link in links & targets.keys():
            yield targets[link], (name, int(process.name))


if __name__ == "__main__":
    main()
