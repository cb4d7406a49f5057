#!/usr/bin/python3
"""Thin: arguments in, engine, result out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_backends_info
short_description: Find the containers of a Docker host that serve a service
description:
  - Asks one Docker engine which of its containers are running, and returns for each service the
    addresses at which they are reached, typed and checked, ready for a template of your own or for
    M(haproxy_backends).
  - A container belongs to a service by its label C(dockmaster.service), or else by what the section
    C(discovery) of the service selects, as docs/discovery.md has it.
  - An engine that does not answer is a failure, never an empty answer.
options:
  services:
    description:
      - What to look for, a dictionary by the service's name, in the nouns of the configuration file.
      - Of each service the section C(discovery) is used. How its C(servers) are asked by TLS is of no meaning here.
    type: dict
    required: true
  docker_host:
    description: The engine to ask, as C(unix:///path) or C(tcp://host:port).
    type: str
    default: unix:///var/run/docker.sock
  name:
    description: What this Docker host is called in the result; in a play, C(inventory_hostname).
    type: str
    default: localhost
  address:
    description: The address that a balancer dials to reach the ports that this Docker host publishes.
    type: str
    default: 127.0.0.1
  timeout:
    description: Seconds to wait for the engine.
    type: int
    default: 10
requirements:
  - python3-docker
attributes:
  check_mode:
    description: Runs in check mode as otherwise; it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
seealso:
  - module: haproxy_backends
author:
  - Dockmaster's developers
"""

EXAMPLES = r"""
- name: Find the backends
  docker_backends_info:
    services:
      nodesrv:
        discovery:
          image_name: local/nodeapp
          container_port: 8000
  register: found

- name: Put them into a template of your own
  ansible.builtin.template:
    src: own.cfg.j2
    dest: /etc/haproxy/haproxy.cfg
    mode: "0644"
    validate: haproxy -c -f %s
  notify: Reload HAProxy
"""

RETURN = r"""
backends:
  description: For each service its backends, sorted; an empty list is a fact.
  returned: success
  type: dict
  contains:
    docker_host:
      description: The name given as O(name).
      type: str
      sample: localhost
    container_id:
      description: The whole id.
      type: str
    container_name:
      description: The container's name.
      type: str
      sample: nodesrv-1
    image:
      description: The image as Docker shows it.
      type: str
      sample: local/nodeapp
    name:
      description: The name of the server in HAProxy.
      type: str
      sample: 3796ab3f5b76_49153
    host:
      description: The address to dial.
      type: str
      sample: 127.0.0.1
    port:
      description: The port to dial.
      type: int
      sample: 49153
    weight:
      description: The weight that its label asks for, where that counts.
      type: int
    backup:
      description: Whether its label makes it a backup server, where that counts.
      type: bool
    maxconn:
      description: The connections at one time that its label asks for, where that counts.
      type: int
doubtful:
  description:
    - As RV(backends), of containers that run and that Docker holds unfit, paused or unhealthy.
    - They are no backends; M(haproxy_backends) lets the last usable server of a service go on though.
  returned: success
  type: dict
refused:
  description: Containers that were meant for a service and cannot serve it, each with the reason.
  returned: success
  type: list
  elements: dict
can_talk_to_docker:
  description: Whether the engine answered.
  returned: always
  type: bool
"""

import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.dockmaster.discovery import backends_of
    from ansible.module_utils.dockmaster.errors import DockmasterError, SourceError
    from ansible.module_utils.dockmaster.model import valid_host, valid_name
    from ansible.module_utils.dockmaster.settings import parse
    from ansible.module_utils.dockmaster.sources.docker import DockerHost

    MISSING = None
except ImportError as error:
    MISSING = (str(error.name), traceback.format_exc())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "dict", "required": True},
            "docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"},
            "name": {"type": "str", "default": "localhost"},
            "address": {"type": "str", "default": "127.0.0.1"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    if MISSING and module.check_mode:
        module.warn(f"{MISSING[0]} is not installed yet, so Docker cannot be asked")
        empty: dict[str, list[object]] = {name: [] for name in module.params["services"]}
        module.exit_json(backends=empty, doubtful={}, refused=[], can_talk_to_docker=False)
    if MISSING:
        module.fail_json(
            msg=missing_required_lib(MISSING[0]), exception=MISSING[1], backends={}, can_talk_to_docker=False
        )
    name, address = module.params["name"], module.params["address"]
    for option, check in (("name", valid_name), ("address", valid_host)):
        try:
            check(module.params[option])
        except ValueError as error:
            module.fail_json(msg=f"{option}: {module.params[option]!r}: {error}", can_talk_to_docker=False)
    host = None
    try:
        services = {name: _asked_here(service) for name, service in module.params["services"].items()}
        settings = parse({"services": services}, "the task's parameters")
        host = DockerHost(name, module.params["docker_host"], module.params["timeout"])
        listed = backends_of(settings.services, name, address, host.containers(), resolve=host.image_of)
    except SourceError as error:
        module.fail_json(msg=str(error), can_talk_to_docker=False)
    except DockmasterError as error:
        module.fail_json(msg=str(error), can_talk_to_docker=host is not None)
    finally:
        if host:
            host.close()
    by_service = {
        which: {
            service.name: [
                {**one.as_dict(), "name": one.server_name(with_host=service.named_with_host)}
                for one in some[service.name]
            ]
            for service in settings.services
        }
        for which, some in (("backends", listed.backends), ("doubtful", listed.doubtful))
    }
    module.exit_json(**by_service, refused=[refusal.as_dict() for refusal in listed.refused], can_talk_to_docker=True)


def _asked_here(service: Any) -> Any:
    """A service without how its Docker hosts are asked by TLS: who we are towards them, the task is not told."""
    try:
        servers = service["discovery"]["servers"]
        plain = [{key: value for key, value in one.items() if key not in ("tls", "tls_name")} for one in servers]
    except (AttributeError, KeyError, TypeError):
        return service
    return {**service, "discovery": {**service["discovery"], "servers": plain}}


if __name__ == "__main__":
    main()
