"""Each tag by itself. A tag selects the same on every Debian release, so one host is enough."""

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
def test_second_run_with_one_tag_changes_nothing(play: Callable[..., str], playbook: str, tag: str) -> None:
    assert "changed=0" in play(f"playbooks/{playbook}.yml", "--tags", tag)
