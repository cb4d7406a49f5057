"""Where the base image comes from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

BOOTSTRAPPED = "debian:bookworm-slim"
PULLED = "127.0.0.1:5000/debian:bookworm-slim"


def image(host: Host, name: str) -> dict[str, Any]:
    [found] = json.loads(host.check_output("docker image inspect %s", name))
    assert isinstance(found, dict)
    return found


@pytest.fixture
def built_on(host: Host) -> str:
    """Return the name of the base of the application's image."""
    layers = image(host, "local/nodeapp")["RootFS"]["Layers"]
    names: list[str] = host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}'").splitlines()
    [base] = [name for name in names if image(host, name)["RootFS"]["Layers"] == layers[:1]]
    return base


def test_base_is_pulled_from_a_registry_that_answers_or_else_bootstrapped(host: Host, built_on: str) -> None:
    base = image(host, built_on)
    if host.system_info.codename == "trixie":
        [digest] = base["RepoDigests"]
        assert built_on == PULLED
        assert digest.startswith("127.0.0.1:5000/debian@sha256:")
        served = host.check_output("journalctl --no-pager --unit docker-registry")
        assert '"GET /v2/debian/' in served.replace("\\", "")
    else:
        assert built_on == BOOTSTRAPPED
        assert base["RepoDigests"] == []
        assert base["Config"]["Labels"] == {"dockmaster.bootstrapped": BOOTSTRAPPED}
