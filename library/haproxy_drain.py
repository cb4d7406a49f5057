#!/usr/bin/python3
"""Drains a Docker host or a container on one balancer, or makes it ready again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_drain
short_description: Drain a Docker host or a container on a balancer, or make it ready again
description:
  - A drained Docker host or container gets no new requests, and finishes those it has. It stays drained when the
    balancer syncs and when the watcher or HAProxy restarts, until it is made ready, is gone, or is taken out of the
    configuration.
  - The last usable server of a service is never drained. The module fails instead, also in check mode, names the
    server, and changes nothing.
  - The balancer asks the Docker hosts which containers they run. For a Docker host that does not answer, the last
    known containers count.
  - The commands C(dockmaster drain) and C(dockmaster ready) do the same.
extends_documentation_fragment:
  - dockmaster
  - dockmaster.balancer
options:
  host:
    description: Name of the Docker host in the configuration.
    type: str
  container:
    description:
      - Name of the container, or the first characters of its id, at least four.
      - Use C(HOST/NAME) if several Docker hosts have a container with this name.
    type: str
  state:
    description: V(drained) for no new requests, V(ready) for its normal share of requests.
    type: str
    choices: [drained, ready]
    default: drained
  config:
    description:
      - Path of the configuration of the command C(dockmaster) on the balancer. The template is the one beside it.
    default: /etc/dockmaster/dockmaster.yml
  wait:
    description:
      - Whether to wait until no sessions are left on the servers, or with O(state=ready) until HAProxy's checks have
        found them usable.
      - The module fails if that takes longer than O(wait_timeout). What it has changed stays changed.
  wait_timeout:
    default: 60
seealso:
  - module: haproxy_sync
"""

EXAMPLES = r"""
- name: Drain a Docker host, and wait until its requests are finished
  haproxy_drain:
    host: app1
    wait: true

- name: Make the Docker host ready again
  haproxy_drain:
    host: app1
    state: ready
    wait: true
    wait_timeout: 30

- name: Drain one container
  haproxy_drain:
    container: app1/nodesrv-1
"""

RETURN = r"""
message:
  description: What was done, in one line for people.
  returned: success
  type: str
done:
  description: Whether what O(wait) waits for happened in time. Always true without O(wait).
  returned: success
  type: bool
servers:
  description: The servers of the Docker host or container.
  returned: success
  type: list
  elements: dict
  contains:
    server:
      description: Section and name of the server.
      type: str
      sample: nodesrv/app1_3796ab3f5b76_49153
    docker_host:
      description: Name of the Docker host that runs the container.
      type: str
    container:
      description: The container's name.
      type: str
    haproxy:
      description:
        - State and status of the server in HAProxy, V(absent) if HAProxy has no such server, or V(unknown) if HAProxy
          does not answer.
      type: str
      sample: drain, DRAIN
    sessions:
      description: How many sessions the server has.
      type: int
drained:
  description: All that is drained now.
  returned: success
  type: list
  elements: dict
  contains:
    docker_host:
      description: Name of the Docker host.
      type: str
    container:
      description: Name or id of the container. Empty if the whole Docker host is drained.
      type: str
    by:
      description: The user that drained it.
      type: str
    at:
      description: When it was drained, in seconds since 1970.
      type: float
last_usable:
  description: Servers that were not drained because their services have no other usable server.
  returned: always
  type: list
  elements: str
"""

import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.dockmaster import module_arguments

try:
    from ansible.module_utils.dockmaster import drain
    from ansible.module_utils.dockmaster.config.file import load
    from ansible.module_utils.dockmaster.errors import DockmasterError

    MISSING = None
except ImportError as error:
    MISSING = (str(error.name), traceback.format_exc())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **module_arguments.balancer(wait_timeout=60, config="/etc/dockmaster/dockmaster.yml"),
            "host": {"type": "str"},
            "container": {"type": "str"},
            "state": {"type": "str", "choices": ["drained", "ready"], "default": "drained"},
        },
        mutually_exclusive=[("host", "container")],
        required_one_of=[("host", "container")],
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING[0]), exception=MISSING[1], last_usable=[])
    try:
        result = run(module.params, check_mode=module.check_mode)
    except drain.NotDrained as error:
        module.fail_json(msg=str(error), last_usable=list(error.last_usable))
    except DockmasterError as error:
        module.fail_json(msg=str(error), last_usable=[])
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}", last_usable=[])
    if not result["done"]:
        module.fail_json(msg=result["message"], **result)
    module.exit_json(**result)


def run(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Drain or make ready what the task's parameters name, and return the module's result."""
    config = Path(params["config"])
    kind, name = ("host", params["host"]) if params["host"] else ("container", params["container"])
    outcome = (drain.drain if params["state"] == "drained" else drain.ready)(
        load(config),
        config.with_name("haproxy.cfg.j2").read_text("utf-8"),
        drain.Target.named(kind, name),
        wait=params["wait_timeout"] if params["wait"] else 0,
        check_mode=check_mode,
    )
    return {
        **outcome.as_dict(),
        "diff": {
            "before": "".join(f"{one}\n" for one in outcome.before),
            "after": "".join(f"{one}\n" for one in outcome.after),
            "before_header": "drained (before)",
            "after_header": "drained (after)",
        },
    }


if __name__ == "__main__":
    main()
