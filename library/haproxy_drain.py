#!/usr/bin/python3
"""Thin: arguments in, engine, result out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_drain
short_description: Drain a Docker host or a container on a balancer, and have it back
description:
  - What is drained gets no new requests; those under way finish. It stays so through passes, and through restarts of
    the watcher and of HAProxy, until it is told ready, leaves the configuration or is gone.
  - The last usable server of a service is never drained. The module fails then, names it, and changes nothing.
  - The Docker hosts that answer are asked; of the others what was last known counts.
  - The commands C(dockmaster drain) and C(dockmaster ready) are the same code.
options:
  docker_host:
    description: Name of the Docker host, as the configuration has it.
    type: str
  container:
    description:
      - Name of the container, or the beginning of its id, four characters at the least.
      - C(HOST/NAME) where several Docker hosts have one of that name.
    type: str
  state:
    description: Whether it gets no new requests, or those that are its share.
    type: str
    choices: [drained, ready]
    default: drained
  wait:
    description:
      - Seconds to wait until no sessions are left on its servers, or with O(state=ready) until HAProxy's checks have
        found them usable; 0 does not wait.
      - The module fails where that is not so in time. What was changed stays.
    type: int
    default: 0
  config:
    description: Path of the command's configuration on the balancer. The template is the one beside it.
    type: path
    default: /etc/dockmaster/dockmaster.yml
requirements:
  - haproxy
  - python3-docker
  - python3-jinja2
  - python3-yaml
attributes:
  check_mode:
    description: Can run in check mode, and fails then as well where it could not be drained.
    support: full
  diff_mode:
    description: Shows the change of what is drained.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
seealso:
  - module: haproxy_backends
author:
  - Dockmaster's developers
"""

EXAMPLES = r"""
- name: No new requests for a Docker host, and wait until those under way are over
  haproxy_drain:
    docker_host: app1
    wait: 60

- name: Have it back
  haproxy_drain:
    docker_host: app1
    state: ready
    wait: 30

- name: No new requests for one container
  haproxy_drain:
    container: app1/nodesrv-1
"""

RETURN = r"""
message:
  description: What was done, in a line for people.
  returned: success
  type: str
done:
  description: Whether what O(wait) waited for came in time.
  returned: success
  type: bool
servers:
  description: The servers of what was named.
  returned: success
  type: list
  elements: dict
  contains:
    server:
      description: Section and name.
      type: str
      sample: nodesrv/app1_3796ab3f5b76_49153
    docker_host:
      description: Where its container runs.
      type: str
    container:
      description: The container's name.
      type: str
    haproxy:
      description: What HAProxy was told and what it says; V(absent) where it has no such server.
      type: str
      sample: drain, DRAIN
    sessions:
      description: How many are under way.
      type: int
drained:
  description: Everything that is drained now.
  returned: success
  type: list
  elements: dict
  contains:
    docker_host:
      description: Name of the Docker host.
      type: str
    container:
      description: Name or id of the container; empty for all of the host.
      type: str
    by:
      description: Who asked for it.
      type: str
    at:
      description: When, in seconds since 1970.
      type: float
kept:
  description: Servers that are the last usable ones of their services, where it could not be drained for that.
  returned: always
  type: list
  elements: str
"""

import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.dockmaster import drain
    from ansible.module_utils.dockmaster.errors import DockmasterError
    from ansible.module_utils.dockmaster.settings_file import load

    MISSING = None
except ImportError as error:
    MISSING = (str(error.name), traceback.format_exc())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "docker_host": {"type": "str"},
            "container": {"type": "str"},
            "state": {"type": "str", "choices": ["drained", "ready"], "default": "drained"},
            "wait": {"type": "int", "default": 0},
            "config": {"type": "path", "default": "/etc/dockmaster/dockmaster.yml"},
        },
        mutually_exclusive=[("docker_host", "container")],
        required_one_of=[("docker_host", "container")],
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING[0]), exception=MISSING[1], kept=[])
    try:
        result = run(module.params, check_mode=module.check_mode)
    except drain.NotDrained as error:
        module.fail_json(msg=str(error), kept=list(error.kept))
    except DockmasterError as error:
        module.fail_json(msg=str(error), kept=[])
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}", kept=[])
    if not result["done"]:
        module.fail_json(msg=result["message"], **result)
    module.exit_json(**result)


def run(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Drain, or make ready, as the task's parameters say; returns the module's result."""
    config = Path(params["config"])
    kind, name = ("host", params["docker_host"]) if params["docker_host"] else ("container", params["container"])
    outcome = (drain.drain if params["state"] == "drained" else drain.ready)(
        load(config),
        config.with_name("haproxy.cfg.j2").read_text("utf-8"),
        drain.What.named(kind, name),
        wait=params["wait"],
        check_mode=check_mode,
    )
    return {
        **outcome.as_dict(),
        "diff": {
            "before": "".join(f"{mark}\n" for mark in outcome.before),
            "after": "".join(f"{mark}\n" for mark in outcome.after),
            "before_header": "drained (before)",
            "after_header": "drained (after)",
        },
    }


if __name__ == "__main__":
    main()
