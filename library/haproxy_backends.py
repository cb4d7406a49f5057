#!/usr/bin/python3
"""Thin: arguments in, engine, result out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_backends
short_description: Make haproxy.cfg and the running HAProxy as services and backends say
description:
  - Renders haproxy.cfg from the services, their backends and the template, has C(haproxy -c) judge it,
    replaces the file at one stroke, and changes the servers of the running HAProxy by its Runtime API. It is
    reloaded, without a gap, where more than servers has changed. Nothing is done where all is so already.
  - A file that HAProxy refuses never replaces the running one. One that HAProxy accepts and cannot take
    is taken back, and the one before is put in force again.
  - The command C(dockmaster sync) is the same code.
options:
  services:
    description: The services, a dictionary by name, in the nouns of the configuration file.
    type: dict
  haproxy:
    description: HAProxy as a whole, in the nouns of the configuration file.
    type: dict
    default: {}
  discovery:
    description: What all services share of their section C(discovery), such as C(servers) and C(tls).
    type: dict
    default: {}
  watch:
    description: What the watcher and passes have to agree upon, as the section C(watch) of the configuration file.
    type: dict
    default: {}
  template:
    description: The text of the template.
    type: str
  config:
    description:
      - Path of the command's configuration on the balancer, instead of O(services), O(haproxy) and
        O(discovery). The template is then the one beside it, unless O(template) is given.
    type: path
  backends:
    description:
      - Backends by service, as M(docker_backends_info) returns them, of all Docker hosts together.
      - Without it the Docker hosts of the configuration are asked over their TCP API.
    type: dict
  doubtful:
    description:
      - As O(backends), of containers that run and that Docker holds unfit, as M(docker_backends_info) returns them.
      - One of them goes on serving where its service has no other usable server.
    type: dict
    default: {}
  unknown_hosts:
    description:
      - Names of Docker hosts that could not be asked. Their last known backends stay. They are not
        the same as hosts without containers.
    type: list
    elements: str
    default: []
  age:
    description:
      - Seconds that O(backends) may be old. Servers that the watcher has changed since then are left alone.
    type: int
    default: 60
  wait:
    description:
      - Seconds to wait for HAProxy's checks to find every server usable; 0 does not wait. Nobody waits for those of a
        Docker host that did not answer.
    type: int
    default: 0
requirements:
  - haproxy
  - python3-docker
  - python3-jinja2
  - python3-yaml
attributes:
  check_mode:
    description: Can run in check mode, and has HAProxy judge the new file then as well.
    support: full
  diff_mode:
    description: Shows the change of haproxy.cfg.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
seealso:
  - module: docker_backends_info
author:
  - Dockmaster's developers
"""

EXAMPLES = r"""
- name: Apply what every Docker host said
  haproxy_backends:
    services: "{{ dockmaster_services }}"
    template: "{{ lookup('ansible.builtin.file', 'haproxy.cfg.j2', rstrip=false) }}"
    backends: "{{ found.backends }}"

- name: A pass as the command makes it
  haproxy_backends:
    config: /etc/dockmaster/dockmaster.yml
    wait: 15
"""

RETURN = r"""
action:
  description:
    - What was done, or in check mode would be.
    - V(none); V(write) where HAProxy does not run, is not to be told or runs so already; V(runtime) where servers
      changed without a reload; V(reload).
  returned: success
  type: str
message:
  description: The same in a line for people, with the servers that came and went.
  returned: success
  type: str
changes:
  description: What was done to each server without a reload, in order.
  returned: success
  type: list
  elements: dict
  contains:
    change:
      description: V(added), V(readied), V(drained), V(removed) or V(deleted).
      type: str
    server:
      description: Section and name.
      type: str
      sample: nodesrv/3796ab3f5b76_49153
reload_reason:
  description: Why it was a reload where servers alone had changed; empty otherwise.
  returned: success
  type: str
kept:
  description: Servers that go on serving though Docker holds their containers unfit, for there is no other.
  returned: success
  type: list
  elements: str
backends:
  description: The backends of each service that are now in the file, those of unknown hosts as last known.
  returned: success
  type: dict
refused:
  description: Containers that cannot serve, each with the reason; only where the Docker hosts were asked.
  returned: success
  type: list
  elements: dict
unknown_hosts:
  description: Docker hosts that did not answer, with the reason.
  returned: success
  type: dict
not_usable:
  description: Servers that HAProxy's checks had not found usable when O(wait) was over.
  returned: success
  type: list
  elements: str
notes:
  description: What was translated in the configuration.
  returned: success
  type: list
  elements: str
backup_file:
  description: Where the operator's own haproxy.cfg was kept, the first time.
  returned: when there was one
  type: str
haproxy_output:
  description: HAProxy's own words on a file that it refuses.
  returned: when it refused one
  type: str
"""

import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.dockmaster import summary, sync
    from ansible.module_utils.dockmaster.errors import ConfigRefused, DockmasterError, SettingsError
    from ansible.module_utils.dockmaster.haproxy.apply import wait_until_checked
    from ansible.module_utils.dockmaster.haproxy.servers import by_key, by_service
    from ansible.module_utils.dockmaster.model import Backend
    from ansible.module_utils.dockmaster.settings import parse
    from ansible.module_utils.dockmaster.settings_file import load

    MISSING = None
except ImportError as error:
    MISSING = (str(error.name), traceback.format_exc())

SPEC = {
    "services": {"type": "dict"},
    "haproxy": {"type": "dict", "default": {}},
    "discovery": {"type": "dict", "default": {}},
    "watch": {"type": "dict", "default": {}},
    "template": {"type": "str"},
    "config": {"type": "path"},
    "backends": {"type": "dict"},
    "doubtful": {"type": "dict", "default": {}},
    "unknown_hosts": {"type": "list", "elements": "str", "default": []},
    "age": {"type": "int", "default": 60},
    "wait": {"type": "int", "default": 0},
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
        module.warn(f"{MISSING[0]} is not installed yet, so haproxy.cfg cannot be shown")
        module.exit_json(changed=True, action="write", message="would write the file", backends={})
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
        module.warn(f"HAProxy's checks have not found usable yet: {', '.join(result['not_usable'])}")
    module.exit_json(**result)


def run(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """A pass with the task's parameters; returns the module's result."""
    given = {key: params[key] for key in ("services", "haproxy", "discovery", "watch")}
    settings = load(Path(params["config"])) if params["config"] else parse(given, "the task's parameters")
    template = params["template"] or Path(params["config"]).with_name("haproxy.cfg.j2").read_text("utf-8")
    find = None if params["backends"] is None else (lambda _: _given(params, settings.docker_servers))
    report = sync.one_pass(settings, template, find, check_mode=check_mode, age=params["age"])
    path = settings.haproxy.config_file_path
    waited: list[str] = []
    if params["wait"] and report.changed and not check_mode:
        heard = {
            service: [one for one in backends if one.docker_host not in report.unknown]
            for service, backends in report.backends.items()
        }
        servers = by_key(by_service(settings, heard))
        waited = wait_until_checked(settings.haproxy, servers, params["wait"])
    return {
        **report.as_dict(),
        "message": summary.line(report, check_mode),
        "not_usable": waited,
        "diff": {
            "before": report.applied.before or "",
            "after": report.applied.after,
            "before_header": str(path),
            "after_header": str(path),
        },
    }


def _given(params: dict[str, Any], hosts: Collection[str]) -> sync.Found:
    """The backends of the task's parameters, checked."""
    backends, doubtful = _backends(params, "backends"), _backends(params, "doubtful")
    running: dict[str, frozenset[str]] = {}
    # Where the configuration has Docker hosts, their own answers are newer.
    for one in () if hosts else (one for some in (*backends.values(), *doubtful.values()) for one in some):
        running[one.docker_host] = running.get(one.docker_host, frozenset()) | {one.container_id, one.container_name}
    unknown = {name: f"{name} could not be asked" for name in params["unknown_hosts"]}
    return sync.Found(backends, unknown=unknown, doubtful=doubtful, running=running)


def _backends(params: dict[str, Any], which: str) -> dict[str, list[Backend]]:
    backends: dict[str, list[Backend]] = {}
    for service, entries in params[which].items():
        for number, entry in enumerate(entries):
            try:
                backends.setdefault(service, []).append(Backend.from_dict(entry))
            except ValueError as error:
                raise SettingsError(f"the task's parameters: {which}.{service}[{number}]: {error}") from None
    return backends


if __name__ == "__main__":
    main()
