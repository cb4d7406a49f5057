#!/usr/bin/python3
"""Thin: arguments in, engine, result out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dockmaster_serving_check
short_description: Check that a balancer serves what the inventory wants
description:
  - Asks C(dockmaster status) on the balancer until HAProxy finds every wanted container usable, and fails after
    O(wait_timeout) with a sentence for each service that has fewer servers than wanted. It gives a reason for each
    container.
  - What the operator has drained is not wanted.
options:
  wanted:
    description: The containers that have to serve each service, as M(dockmaster_settings_check) returns them.
    type: dict
    required: true
  docker_hosts:
    description:
      - Names of the Docker hosts whose containers are checked. The others are named in a warning.
      - Without it, all of them are.
    type: list
    elements: str
  wait_timeout:
    description: Seconds to wait for HAProxy's checks.
    type: int
    default: 30
attributes:
  check_mode:
    description: Runs in check mode as otherwise; it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
seealso:
  - module: dockmaster_settings_check
author:
  - Dockmaster's developers
"""

EXAMPLES = r"""
- name: Check that all containers serve
  dockmaster_serving_check:
    wanted: "{{ judged.wanted }}"
    wait_timeout: 15
"""

RETURN = r"""
msg:
  description: A line for each service that has fewer servers than wanted.
  returned: failure
  type: str
  sample: "web: only 1 of 2 containers serve: app1/web-2: it is unhealthy"
"""

import json
import time
import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.dockmaster import judge

    MISSING = None
except ImportError as error:
    MISSING = (str(error.name), traceback.format_exc())

COMMAND = ["/usr/local/bin/dockmaster", "status", "--json"]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "dict", "required": True},
            "docker_hosts": {"type": "list", "elements": "str"},
            "wait_timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING[0]), exception=MISSING[1])
    wanted = {name: [judge.Wanted(**one) for one in some] for name, some in module.params["wanted"].items()}
    hosts = {one.docker_host for some in wanted.values() for one in some}
    checked = hosts if module.params["docker_hosts"] is None else hosts.intersection(module.params["docker_hosts"])
    if hosts - checked:
        module.warn(f"Not checked, because they did not answer in this run: {', '.join(sorted(hosts - checked))}")
    wanted = {name: [one for one in some if one.docker_host in checked] for name, some in wanted.items()}
    deadline = time.monotonic() + module.params["wait_timeout"]
    while (missing := judge.outcome(wanted, status(module))) and time.monotonic() < deadline:
        time.sleep(1)
    if missing:
        module.fail_json(msg="\n".join(missing))
    module.exit_json()


def status(module: AnsibleModule) -> dict[str, Any]:
    """What the command says; where it says nothing, the module fails."""
    _, output, errors = module.run_command(COMMAND)
    try:
        said: dict[str, Any] = json.loads(output)
    except ValueError:
        module.fail_json(msg=f"{' '.join(COMMAND)}: no usable answer: {errors.strip()}")
    return said


if __name__ == "__main__":
    main()
