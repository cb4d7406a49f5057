#!/usr/bin/python3
"""Brings one HAProxy in line with services and endpoints."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_sync
short_description: Bring haproxy.cfg and the running HAProxy in line with services and endpoints
description:
  - Writes C(haproxy.cfg) from the services, their endpoints and a template, and lets C(haproxy -c) check it before it
    replaces the file.
  - Changes the servers of the running HAProxy through its Runtime API. HAProxy is reloaded only if more than servers
    has changed. Nothing is done if everything is as it should be.
  - A file that HAProxy rejects never replaces the present one. If HAProxy accepts a file and cannot start with it, the
    previous file is restored.
  - The command C(dockmaster sync) does the same.
extends_documentation_fragment:
  - dockmaster
  - dockmaster.services
  - dockmaster.balancer
options:
  haproxy:
    description: The section C(haproxy) of the configuration file, for HAProxy as a whole.
    type: dict
    default: {}
  discovery:
    description: The section C(discovery) of the configuration file, such as C(servers) and C(tls) for all services.
    type: dict
    default: {}
  watch:
    description: The section C(watch) of the configuration file, which the watcher uses too.
    type: dict
    default: {}
  template:
    description: The text of the template. Required with O(services).
    type: str
  config:
    description:
      - Path of the configuration of the command C(dockmaster) on the balancer.
      - Used instead of O(services), O(haproxy), O(discovery) and O(watch). Without O(template), the template beside
        that file is used.
  endpoints:
    description:
      - The endpoints of each service on all Docker hosts, as M(docker_endpoints_info) returns them.
      - Without this option, the balancer asks the Docker hosts of the configuration over their TCP API.
    type: dict
  unhealthy:
    description:
      - Containers that run and are unhealthy, as M(docker_endpoints_info) returns them.
      - They get traffic only if their service has no other usable server.
    type: dict
    default: {}
  running:
    description:
      - Ids of all containers that run, by the name of their Docker host, as M(docker_endpoints_info) returns them.
      - A container that runs and is not of its service any more serves until another one does. Without this option it
        counts as gone.
    type: dict
    default: {}
  unreachable_hosts:
    description:
      - Names of the Docker hosts that did not answer. Their last known endpoints are kept, unlike those of a Docker
        host that answered and runs no containers.
    type: list
    elements: str
    default: []
  age:
    description:
      - How many seconds old O(endpoints) can be. Servers that the watcher has changed within this time are left alone.
    type: int
    default: 60
  wait:
    description:
      - Whether to wait after a change until HAProxy's checks have found every server usable, except those of Docker
        hosts that did not answer. Servers that are not usable in time are returned in RV(not_usable), with a warning.
  wait_timeout:
    default: 30
seealso:
  - module: docker_endpoints_info
  - module: haproxy_drain
"""

EXAMPLES = r"""
- name: Balance the endpoints that docker_endpoints_info has found
  haproxy_sync:
    services: "{{ dockmaster_services }}"
    template: "{{ lookup('ansible.builtin.file', 'haproxy.cfg.j2', rstrip=false) }}"
    endpoints: "{{ found.endpoints }}"
    unhealthy: "{{ found.unhealthy }}"

- name: Do what the command does, and wait for HAProxy's checks
  haproxy_sync:
    config: /etc/dockmaster/dockmaster.yml
    wait: true
    wait_timeout: 15
"""

RETURN = r"""
action:
  description:
    - What was done, or in check mode would be done.
    - V(none), V(write) (only the file was written, because HAProxy does not run or needs no change), V(runtime)
      (servers were changed without a reload) or V(reload).
  returned: success
  type: str
message:
  description: The same in one line for people, with the servers that were added and removed.
  returned: success
  type: str
changes:
  description: The changes of servers that were made without a reload, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    change:
      description: V(added), V(readied), V(drained), V(removed) or V(deleted).
      type: str
    server:
      description: Section and name of the server.
      type: str
      sample: nodesrv/3796ab3f5b76_49153
reload_reason:
  description: Why HAProxy was reloaded although only servers had changed. Empty otherwise.
  returned: success
  type: str
last_usable:
  description:
    - Servers that keep their traffic although their containers are unhealthy, stopping or drained, because their
      service has no other usable server.
  returned: success
  type: list
  elements: str
endpoints:
  description: The endpoints of each service that are now in the file. Those of unreachable hosts are the last known.
  returned: success
  type: dict
rejected:
  description:
    - Containers that are meant for a service and cannot serve it, each with the reason.
    - Empty with O(endpoints), because then the balancer does not ask the Docker hosts.
  returned: success
  type: list
  elements: dict
unreachable_sources:
  description: The Docker hosts that did not answer, by name, each with the reason.
  returned: success
  type: dict
not_usable:
  description: Servers that were not usable when O(wait_timeout) was over.
  returned: success
  type: list
  elements: str
notes:
  description: How keys of Synapse in the configuration were translated.
  returned: success
  type: list
  elements: str
backup_file:
  description: Path of the copy of the C(haproxy.cfg) that was there before the first sync.
  returned: when a copy was made
  type: str
haproxy_output:
  description: The output of C(haproxy -c) for a file that it rejects.
  returned: when HAProxy rejects the file
  type: str
"""

import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.dockmaster import module_arguments

try:
    from ansible.module_utils.dockmaster import snapshot, sync
    from ansible.module_utils.dockmaster.config.file import load
    from ansible.module_utils.dockmaster.config.parse import parse
    from ansible.module_utils.dockmaster.config.settings import Settings
    from ansible.module_utils.dockmaster.errors import ConfigRefused, DockmasterError, SettingsError
    from ansible.module_utils.dockmaster.haproxy.apply import wait_until_checked
    from ansible.module_utils.dockmaster.haproxy.servers import by_key, by_service
    from ansible.module_utils.dockmaster.model.endpoint import Endpoint
    from ansible.module_utils.dockmaster.report import summary
    from ansible.module_utils.dockmaster.state.last_known import LastKnown

    MISSING = None
except ImportError as error:
    MISSING = (str(error.name), traceback.format_exc())

SPEC = {
    **module_arguments.services(),
    **module_arguments.balancer(wait_timeout=30),
    "haproxy": {"type": "dict", "default": {}},
    "discovery": {"type": "dict", "default": {}},
    "watch": {"type": "dict", "default": {}},
    "template": {"type": "str"},
    "endpoints": {"type": "dict"},
    "unhealthy": {"type": "dict", "default": {}},
    "running": {"type": "dict", "default": {}},
    "unreachable_hosts": {"type": "list", "elements": "str", "default": []},
    "age": {"type": "int", "default": 60},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=SPEC,
        mutually_exclusive=[("services", "config")],
        required_one_of=[("services", "config")],
        required_by={"services": ["template"]},
        supports_check_mode=True,
    )
    if MISSING and module.check_mode:
        module.warn(f"{MISSING[0]} is not installed yet, so the change of haproxy.cfg cannot be shown")
        module.exit_json(
            changed=True,
            action="write",
            message="would write haproxy.cfg",
            **{key: {} for key in ("endpoints", "unreachable_sources")},
            **{key: [] for key in ("changes", "last_usable", "rejected", "not_usable", "notes")},
            reload_reason="",
        )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING[0]), exception=MISSING[1])
    try:
        result = run(module.params, check_mode=module.check_mode)
    except ConfigRefused as error:
        module.fail_json(msg=str(error), haproxy_output=error.output)
    except DockmasterError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    if result["not_usable"]:
        late = ", ".join(result["not_usable"])
        module.warn(f"HAProxy's checks did not find these servers usable in {module.params['wait_timeout']} s: {late}")
    module.exit_json(**result)


def run(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Sync once with the task's parameters, and return the module's result."""
    given = {key: params[key] for key in ("services", "haproxy", "discovery", "watch")}
    settings = load(Path(params["config"])) if params["config"] else parse(given, "the task's parameters")
    template = params["template"] or Path(params["config"]).with_name("haproxy.cfg.j2").read_text("utf-8")
    find = None if params["endpoints"] is None else (lambda known: _given(params, settings, known))
    report = sync.run(settings, template, find, check_mode=check_mode, age=params["age"])
    path = settings.haproxy.config_file_path
    late: list[str] = []
    if params["wait"] and report.changed and not check_mode:
        reachable = {
            service: [one for one in endpoints if one.docker_host not in report.unreachable]
            for service, endpoints in report.endpoints.items()
        }
        servers = by_key(by_service(settings, reachable))
        late = wait_until_checked(settings.haproxy, servers, params["wait_timeout"])
    return {
        **report.as_dict(),
        "message": summary.line(report, check_mode),
        "not_usable": late,
        "diff": {
            "before": report.applied.before or "",
            "after": report.applied.after,
            "before_header": str(path),
            "after_header": str(path),
        },
    }


def _given(params: dict[str, Any], settings: Settings, known: LastKnown) -> snapshot.Found:
    """The endpoints of the task's parameters, checked."""
    unreachable = {name: f"{name} did not answer" for name in params["unreachable_hosts"]}
    running = {host: [str(one) for one in ids] for host, ids in params["running"].items()}
    endpoints, unhealthy = _endpoints(params, "endpoints"), _endpoints(params, "unhealthy")
    return snapshot.given(settings, known, endpoints, unhealthy, unreachable, running)


def _endpoints(params: dict[str, Any], option: str) -> dict[str, list[Endpoint]]:
    """The endpoints of one of the task's parameters, by service."""
    endpoints: dict[str, list[Endpoint]] = {}
    for service, entries in params[option].items():
        for number, entry in enumerate(entries):
            try:
                endpoints.setdefault(service, []).append(Endpoint.from_dict(entry))
            except ValueError as error:
                raise SettingsError(f"the task's parameters: {option}.{service}[{number}]: {error}") from None
    return endpoints


if __name__ == "__main__":
    main()
