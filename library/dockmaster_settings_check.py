#!/usr/bin/python3
"""Thin: arguments in, engine, result out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dockmaster_settings_check
short_description: Judge Dockmaster's settings before anything is changed
description:
  - Reads the settings with the parser that the balancers use, and fails with a sentence for each service that is wrong.
    A sentence names the variable, its value and what was expected, or the key that is not known and the nearest known
    one.
  - Warns where the applications of the inventory do not fit the services, as with a typo in an image's name.
  - Needs neither Docker nor HAProxy, so it can run on the control node.
options:
  settings:
    description: The configuration that the host is going to have, in the nouns of the configuration file.
    type: dict
    required: true
  applications:
    description:
      - The value of C(app_containers) by the name of the Docker host.
      - Only C(count), C(image), C(labels), C(networks), C(port) and C(published) of an application are read. Leave out
        C(env), which may hold secrets.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Runs in check mode as otherwise; it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
seealso:
  - module: dockmaster_serving_check
author:
  - Dockmaster's developers
"""

EXAMPLES = r"""
- name: Judge what the inventory says
  dockmaster_settings_check:
    settings:
      services: "{{ dockmaster_services }}"
    applications:
      app1: "{{ app_containers }}"
  delegate_to: localhost
"""

RETURN = r"""
wanted:
  description: The containers of the inventory that have to serve each service.
  returned: success
  type: dict
  sample: {"web": [{"docker_host": "app1", "container": "web-1"}]}
"""

import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.dockmaster import judge

    MISSING = None
except ImportError as error:
    MISSING = (str(error.name), traceback.format_exc())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "required": True},
            "applications": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING[0]), exception=MISSING[1])
    verdict = judge.inventory(module.params["settings"], module.params["applications"])
    if verdict.problems:
        module.fail_json(msg="; ".join(verdict.problems))
    for warning in verdict.warnings:
        module.warn(warning)
    module.exit_json(wanted=verdict.as_dict()["wanted"])


if __name__ == "__main__":
    main()
