#!/usr/bin/python3
"""Which processes listen on which TCP ports, as the kernel reports it."""

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
    description: Ports to tell about; without it, all of them.
    type: list
    elements: int
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
- name: Look who has the ports
  listeners_info:
    ports: [80, 443]
  register: listeners
"""

RETURN = r"""
listeners:
  description: One entry for each process, port and address.
  returned: success
  type: list
  elements: dict
  contains:
    port:
      description: The port.
      type: int
      sample: 80
    address:
      description: The address that it listens on; V(0.0.0.0) and V(::) are all of them.
      type: str
      sample: 127.0.0.1
    name:
      description: The process's name; V(hidden) where it is hidden from here.
      type: str
      sample: nginx
    pid:
      description: Its id; none where it is hidden.
      type: int
      sample: 812
    command:
      description: The words of its command line; none where it is hidden.
      type: list
      elements: str
      sample: [nginx, -g, daemon off;]
"""

import ipaddress
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

LISTEN = "0A"
HIDDEN = "hidden"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"ports": {"type": "list", "elements": "int"}}, supports_check_mode=True)
    wanted = module.params["ports"]
    sockets = {inode: end for inode, end in listening() if wanted is None or end[0] in wanted}
    held = {(sockets[inode], holder) for inode, holder in holders(sockets)}
    nameless = set(sockets.values()) - {end for end, _ in held}
    found = [(*end, *holder) for end, holder in sorted(held)] + [(*end, HIDDEN, None, ()) for end in sorted(nameless)]
    keys = ("port", "address", "name", "pid", "command")
    module.exit_json(listeners=[dict(zip(keys, one, strict=True)) for one in found])


def listening() -> Iterator[tuple[str, tuple[int, str]]]:
    """Inode, port and address of every listening TCP socket, IPv4 and IPv6."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == LISTEN:
                address, _, port = fields[1].partition(":")
                yield fields[9], (int(port, 16), readable(address))


def readable(address: str) -> str:
    """An address as people write it; the kernel writes words of 32 bits, each in the machine's order of bytes."""
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    packed = ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))
    return str(getattr(packed, "ipv4_mapped", None) or packed)


def holders(inodes: Iterable[str]) -> Iterator[tuple[str, tuple[str, int, tuple[str, ...]]]]:
    """Inode, and name, process id and command line, for each process that holds one of the sockets."""
    targets = {f"socket:[{inode}]": inode for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()}
            name = (process / "comm").read_text().strip()
            command = tuple((process / "cmdline").read_text(errors="replace").rstrip("\0").split("\0"))
        except OSError:
            # The process has ended meanwhile, or belongs to another container.
            continue
        for link in links & targets.keys():
            yield targets[link], (name, int(process.name), command)


if __name__ == "__main__":
    main()
