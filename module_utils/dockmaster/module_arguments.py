"""The options that several modules share, as Ansible's argument specs.

Plain data, because the engine imports nothing of Ansible. ``plugins/doc_fragments/dockmaster.py`` documents them.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, dict[str, Any]]
"""Options by name."""


def services(*, required: bool = False) -> Spec:
    """What to look for, or to balance."""
    return {"services": {"type": "dict", "required": required}}


def balancer(*, wait_timeout: int, config: str | None = None) -> Spec:
    """What every module that changes a balancer takes; the arguments are the defaults of its options."""
    return {
        "config": {"type": "path", "default": config},
        "wait": {"type": "bool", "default": False},
        "wait_timeout": {"type": "int", "default": wait_timeout},
    }
