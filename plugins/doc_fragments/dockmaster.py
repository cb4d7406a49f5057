"""The documentation that several modules share. module_utils/dockmaster/module_arguments.py has the same options."""

from __future__ import annotations


class ModuleDocFragment:
    """Named by a module's ``extends_documentation_fragment``: ``dockmaster``, ``dockmaster.services`` and so on."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Runs in check mode, and says what it would change.
    support: full
  diff_mode:
    description: Shows in diff mode what it changes.
    support: full
  idempotent:
    description: Changes nothing when it runs again with the same options.
    support: full
author:
  - Dockmaster's developers
"""

    INFO = r"""
attributes:
  check_mode:
    description: Runs in check mode as usual, because it changes nothing.
    support: full
  diff_mode:
    description: Has nothing to show in diff mode, because it changes nothing.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
author:
  - Dockmaster's developers
"""

    SERVICES = r"""
options:
  services:
    description: The services, a dictionary by name, with the keys of the configuration file.
    type: dict
"""

    BALANCER = r"""
options:
  config:
    description: Path of the configuration of the command C(dockmaster) on the balancer.
    type: path
  wait:
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait at most. Only used with O(wait=true).
    type: int
requirements:
  - haproxy
  - python3-docker
  - python3-jinja2
  - python3-yaml
"""
