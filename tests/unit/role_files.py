"""Read the files of the roles, and find who includes which entry point."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml
from ansible_runs import ROOT

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


class Unsafe(str):
    """A text that Ansible does not evaluate."""

    __slots__ = ()


class Loader(yaml.SafeLoader):
    """Reads Ansible's YAML and its tags."""


def construct_unsafe(loader: yaml.SafeLoader, node: yaml.Node) -> Unsafe:
    assert isinstance(node, yaml.ScalarNode)
    return Unsafe(loader.construct_scalar(node))


Loader.add_constructor("!unsafe", construct_unsafe)


def load(text: str) -> Any:
    return yaml.load(text, Loader)


def defaults(role: str) -> dict[str, Any]:
    """Return the defaults of a role."""
    values = load((ROOT / "roles" / role / "defaults" / "main.yml").read_text())
    assert isinstance(values, dict)
    return values


def entry_points(role: str) -> dict[str, dict[str, Any]]:
    """Return the argument specs of a role by entry point."""
    specs = load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    assert isinstance(specs, dict)
    return specs


@cache
def included() -> set[tuple[str, str]]:
    """Return each role and entry point that playbooks, roles and scenarios include by tasks_from."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    files = [*ROOT.glob("*.yml"), *(file for folder in folders for file in folder.rglob("*.yml"))]
    return {pair for file in files for pair in _included(load(file.read_text()), [])}


def _included(node: Any, loop: list[str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for item in node:
            yield from _included(item, loop)
    elif isinstance(node, dict):
        if "tasks_from" in node:
            for role in _values(node.get("name") or node["role"], loop):
                for entry_point in _values(node["tasks_from"], loop):
                    yield role, entry_point
        for value in node.values():
            yield from _included(value, node.get("loop", loop))


def _values(text: str, loop: list[str]) -> list[str]:
    """Return the possible values of a text: itself, the quoted words of an expression, or the items of its loop."""
    if "{{" not in text:
        return [text]
    values = re.findall(r"'(\w+)'", text) or loop
    assert values, f"cannot tell what {text} can be"
    return values
