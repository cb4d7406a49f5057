#!/usr/bin/python3
"""Finds the endpoints of services on one Docker host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_endpoints_info
short_description: Find the endpoints of services on a Docker host
description:
  - Asks one Docker engine which containers run, and returns the endpoints of each service. An endpoint is an address
    and a port at which a container is reached. All values are checked and have their types, ready for a template of
    your own or for M(haproxy_sync).
  - A container belongs to a service if its label C(dockmaster.service) says so, or if the section C(discovery) of the
    service selects it.
  - The module fails if the engine does not answer. It never returns an empty list instead.
extends_documentation_fragment:
  - dockmaster.info
  - dockmaster.services
options:
  services:
    description:
      - The services to look for, a dictionary by name, with the keys of the configuration file.
      - Only the section C(discovery) of each service is used, without the TLS settings of its C(servers).
    required: true
  docker_host:
    description: URL of the engine to ask, C(unix:///path) or C(tcp://host:port).
    type: str
    default: unix:///var/run/docker.sock
  name:
    description: Name of this Docker host in the result. In a play, use C(inventory_hostname).
    type: str
    default: localhost
  address:
    description: The address at which balancers reach the ports that this Docker host publishes.
    type: str
    default: 127.0.0.1
  timeout:
    description: How many seconds to wait for an answer of the engine.
    type: int
    default: 10
requirements:
  - python3-docker
seealso:
  - module: haproxy_sync
"""

EXAMPLES = r"""
- name: Find the endpoints
  docker_endpoints_info:
    services:
      nodesrv:
        discovery:
          image_name: local/nodeapp
          container_port: 8000
  register: found

- name: Write a configuration from your own template
  ansible.builtin.template:
    src: own.cfg.j2
    dest: /etc/haproxy/haproxy.cfg
    mode: "0644"
    validate: haproxy -c -f %s
  notify: Reload HAProxy
"""

RETURN = r"""
endpoints:
  description: The endpoints of each service, sorted. An empty list means that no container can serve the service.
  returned: success
  type: dict
  contains:
    docker_host:
      description: Name of the Docker host, as given in O(name).
      type: str
      sample: localhost
    container_id:
      description: The container's full id.
      type: str
    container_name:
      description: The container's name.
      type: str
      sample: nodesrv-1
    image:
      description: The container's image, as Docker shows it.
      type: str
      sample: local/nodeapp
    name:
      description: Name of the server in HAProxy.
      type: str
      sample: 3796ab3f5b76_49153
    host:
      description: The address to connect to.
      type: str
      sample: 127.0.0.1
    port:
      description: The port to connect to.
      type: int
      sample: 49153
    weight:
      description: The weight that the container's label sets, if the service allows it.
      type: int
    backup:
      description: Whether the container's label makes it a backup server, if the service allows it.
      type: bool
    maxconn:
      description: The limit of concurrent connections that the container's label sets, if the service allows it.
      type: int
unhealthy:
  description:
    - The same for containers that run, but are paused or fail Docker's health check.
    - M(haproxy_sync) sends them traffic only if their service has no other usable server.
  returned: success
  type: dict
rejected:
  description: Containers that are meant for a service and cannot serve it, each with the reason.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
    docker_host:
      description: Name of the Docker host.
      type: str
    container:
      description: The container's short id.
      type: str
    reason:
      description: Why the container cannot serve, in one sentence.
      type: str
running:
  description: Ids of all containers that run, healthy or not, whatever they serve.
  returned: success
  type: list
  elements: str
can_talk_to_docker:
  description: Whether the engine answered.
  returned: always
  type: bool
"""

import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.dockmaster import module_arguments

try:
    from ansible.module_utils.dockmaster.config.parse import parse
    from ansible.module_utils.dockmaster.errors import DockmasterError, SourceError
    from ansible.module_utils.dockmaster.model.endpoint import valid_host, valid_name
    from ansible.module_utils.dockmaster.sources.docker.client import DockerClient
    from ansible.module_utils.dockmaster.sources.docker.discovery import endpoints_of

    MISSING = None
except ImportError as error:
    MISSING = (str(error.name), traceback.format_exc())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **module_arguments.services(required=True),
            "docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"},
            "name": {"type": "str", "default": "localhost"},
            "address": {"type": "str", "default": "127.0.0.1"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    if MISSING and module.check_mode:
        module.warn(f"{MISSING[0]} is not installed yet, so Docker cannot be asked for endpoints")
        empty: dict[str, list[object]] = {name: [] for name in module.params["services"]}
        module.exit_json(endpoints=empty, unhealthy=empty, rejected=[], running=[], can_talk_to_docker=False)
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING[0]), exception=MISSING[1], can_talk_to_docker=False)
    name, address = module.params["name"], module.params["address"]
    for option, check in (("name", valid_name), ("address", valid_host)):
        try:
            check(module.params[option])
        except ValueError as error:
            module.fail_json(msg=f"{option}: {module.params[option]!r}: {error}", can_talk_to_docker=False)
    host = None
    try:
        services = {name: _without_tls(service) for name, service in module.params["services"].items()}
        settings = parse({"services": services}, "the task's parameters")
        host = DockerClient(name, module.params["docker_host"], module.params["timeout"])
        answer = endpoints_of(settings.services, name, address, host.containers(), resolve=host.image_of)
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
        for which, some in (("endpoints", answer.endpoints), ("unhealthy", answer.unhealthy))
    }
    module.exit_json(
        **by_service,
        rejected=[one.as_dict() for one in answer.rejected],
        running=sorted(answer.running),
        can_talk_to_docker=True,
    )


def _without_tls(service: Any) -> Any:
    """A service without the TLS settings of its servers: the module asks by one URL, and has no certificates."""
    try:
        servers = service["discovery"]["servers"]
        plain = [{key: value for key, value in one.items() if key not in ("tls", "tls_name")} for one in servers]
    except (AttributeError, KeyError, TypeError):
        return service
    return {**service, "discovery": {**service["discovery"], "servers": plain}}


if __name__ == "__main__":
    main()
