"""Docker's own repository, as far as that goes where it is not reached: up to apt, which asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

# Nobody listens there.
URI = "http://127.0.0.1:1/linux/debian"
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n"
KEY_FILE = "/etc/apt/keyrings/dockmaster-docker.asc"
SOURCES = "/etc/apt/sources.list.d/dockmaster-docker.sources"
Install = Callable[..., str]


@pytest.fixture
def install(play: Callable[..., str], tmp_path: Path) -> Install:
    """Install the engine of that repository; what was printed."""
    key = tmp_path / "docker.asc"
    key.write_text(KEY)
    variables = json.dumps({"docker_engine_repository": {"uri": URI, "key": str(key)}})

    def run(*arguments: str, fails: bool = False) -> str:
        arguments = ("--tags", "docker_engine_install", "--extra-vars", variables, *arguments)
        return play("playbooks/docker_hosts.yml", *arguments, fails=fails)

    return run


@pytest.fixture
def failed(host: Host, install: Install, play: Callable[..., str]) -> Iterator[str]:
    """What was printed when apt did not reach the repository. All is taken away again."""
    yield install(fails=True)
    play("playbooks/remove.yml")
    for path in (KEY_FILE, SOURCES, "/var/lib/dockmaster"):
        assert not host.file(path).exists


def test_its_packages_would_be_installed(host: Host, install: Install) -> None:
    output = " ".join(install("--check", "--diff").split())
    assert "docker-ce, docker-ce-cli, containerd.io" in output
    assert "docker.io" not in output
    assert f"+URIs: {URI}" in output
    assert not host.file(SOURCES).exists


def test_apt_asks_for_it_with_its_key(host: Host, failed: str) -> None:
    assert "127.0.0.1:1" in failed
    codename = host.system_info.codename
    targets = host.check_output("apt-get indextargets --format '$(SIGNED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)'")
    assert f"{KEY_FILE} {URI}/ {codename} stable" in targets.splitlines()
    assert host.file(KEY_FILE).content_string == KEY
    assert host.file(KEY_FILE).mode == 0o644
