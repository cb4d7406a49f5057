"""Roles: what can be set is declared, explained and used under its own name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from role_files import ROLES, defaults, entry_points

GROUP_VARS = sorted((ROOT / "inventories").glob("*/group_vars/*.yml"))
BUILT_IN = {"ansible_python_interpreter"}


def options(role: str) -> dict[str, Any]:
    """What the role's argument specs declare."""
    return {name: spec for entry in entry_points(role).values() for name, spec in entry["options"].items()}


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_are_the_same_variables(role: str) -> None:
    assert set(defaults(role)) == set(options(role))


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_begins_with_its_role_and_has_type_and_meaning(role: str) -> None:
    for name, spec in options(role).items():
        assert name == role or name.startswith(f"{role}_")
        assert spec.get("type"), name
        assert spec.get("description"), name


@pytest.mark.parametrize("role", ROLES)
def test_every_default_has_its_comment(role: str) -> None:
    """A comment stands above a variable, or above the group of lines that it is in."""
    explained = False
    for line in (ROOT / "roles" / role / "defaults" / "main.yml").read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        elif re.match(r"[a-z]", line):
            assert explained, line


@pytest.mark.parametrize("path", GROUP_VARS, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_variable_of_the_inventories_is_one_of_a_role(path: Path) -> None:
    known = {name for role in ROLES for name in options(role)} | BUILT_IN
    assert set(yaml.safe_load(path.read_text())) <= known
