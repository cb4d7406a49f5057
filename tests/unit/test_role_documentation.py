"""Roles: ansible-doc shows what is so, and each README agrees with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from role_files import ROLES, Unsafe, defaults, entry_points, included

LINES_OF_A_SCREEN = 50
VARIABLE_ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| .+ \|$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)")
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """What ansible-doc shows of each role: its entry points."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-doc")),
            "--type=role",
            f"--roles-path={ROOT / 'roles'}",
            "--json",
            *ROLES,
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return {role: said["entry_points"] for role, said in json.loads(done.stdout).items()}


def readme(role: str) -> str:
    return (ROOT / "roles" / role / "README.md").read_text()


def texts(node: Any) -> Iterator[str]:
    """All texts in a structure."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)


def as_json(values: dict[str, Any]) -> dict[str, str]:
    """Values that are equal only if their types are: 1 is not true."""
    return {name: json.dumps(value, sort_keys=True) for name, value in values.items()}


@pytest.mark.parametrize("role", ROLES)
def test_ansible_doc_shows_the_default_of_every_variable(role: str, shown: dict[str, Any]) -> None:
    options = shown[role]["main"]["options"]
    assert as_json({name: option["default"] for name, option in options.items()}) == as_json(defaults(role))


@pytest.mark.parametrize("role", ROLES)
def test_ansible_doc_describes_every_entry_point_that_is_included(role: str, shown: dict[str, Any]) -> None:
    assert set(shown[role]) == {"main"} | {entry_point for name, entry_point in included() if name == role}
    for name, entry_point in shown[role].items():
        assert entry_point["short_description"], name
        assert entry_point["description"], name


@pytest.mark.parametrize("role", ROLES)
def test_an_entry_point_describes_variables_as_main_does(role: str, shown: dict[str, Any]) -> None:
    main = shown[role]["main"]["options"]
    for entry_point in shown[role].values():
        for name, option in entry_point["options"].items():
            assert option == main[name]


@pytest.mark.parametrize("role", ROLES)
def test_an_expression_among_the_defaults_is_never_evaluated(role: str) -> None:
    """Ansible evaluates a spec whenever it includes the entry point: also where the variable has another value."""
    expressions = [text for text in texts(entry_points(role)) if "{{" in text]
    assert [text for text in expressions if not isinstance(text, Unsafe)] == []


@pytest.mark.parametrize("role", ROLES)
def test_the_metadata_of_a_role_says_what_it_does_and_where(role: str) -> None:
    metadata = yaml.safe_load((ROOT / "roles" / role / "meta" / "main.yml").read_text())
    about = metadata["galaxy_info"]
    assert about["description"]
    assert about["license"] == "MIT"
    assert about["platforms"] == [{"name": "Debian", "versions": ["bookworm", "trixie"]}]
    runtime = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert runtime["ansible-core"].startswith(f"{about['min_ansible_version']}.")
    assert metadata["dependencies"] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_readme_fits_on_a_screen_and_names_where_the_rest_is(role: str) -> None:
    text = readme(role)
    assert text.startswith(f"# {role}\n")
    assert len(text.splitlines()) <= LINES_OF_A_SCREEN
    assert f"ansible-doc -t role -r roles {role}" in text


@pytest.mark.parametrize("role", ROLES)
def test_a_readme_shows_the_defaults_of_variables(role: str) -> None:
    rows = VARIABLE_ROW.findall(readme(role))
    assert rows
    for name, cell in rows:
        default = defaults(role)[name]
        if "{{" in str(default):
            assert not re.fullmatch(r"`.*`", cell), f"{name} is computed: words, and no value"
        else:
            assert cell == f"`{default if isinstance(default, str) and default else json.dumps(default)}`", name


@pytest.mark.parametrize("role", ROLES)
def test_the_examples_of_a_readme_set_variables_of_the_roles(role: str) -> None:
    examples = EXAMPLE.findall(readme(role))
    assert examples
    known = {name for other in ROLES for name in defaults(other)}
    for example in examples:
        used = set(re.findall(rf"^ *((?:{'|'.join(ROLES)})_\w+):", example, re.MULTILINE))
        assert used <= known
        assert yaml.safe_load(example)


@pytest.mark.parametrize("role", ROLES)
def test_the_links_of_a_readme_lead_to_files(role: str) -> None:
    folder = ROOT / "roles" / role
    assert [link for link in LINK.findall(readme(role)) if not (folder / link).exists()] == []
