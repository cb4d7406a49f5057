"""Each tag, by the playbook that has it. What a tag selects is the same on every Debian, so one host will do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

testinfra_hosts = ["ansible://trixie"]

TAGS = [
    (playbook, f"{role}_{part}")
    for playbook, role, parts in [
        ("docker_hosts", "docker_engine", ["install", "configure", "service"]),
        ("docker_hosts", "app_image", ["install"]),
        ("containers", "app_containers", ["service"]),
        ("load_balancers", "haproxy", ["install", "configure", "service"]),
        ("load_balancers", "dockmaster", ["install", "configure", "service"]),
        ("control_node", "control_node", ["configure"]),
    ]
    for part in parts
]


@pytest.mark.parametrize(("playbook", "tag"), TAGS)
def test_a_tag_is_safe_alone(play: Callable[..., str], playbook: str, tag: str) -> None:
    assert "changed=0" in play(f"playbooks/{playbook}.yml", "--tags", tag)
