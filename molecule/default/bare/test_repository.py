"""Docker's own repository, which cannot be reached here: up to the request that apt makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

# The other host runs other tests at the same time.
testinfra_hosts = ["ansible://trixie"]

# Nothing listens there.
URI = "http://127.0.0.1:1/linux/debian"
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n"
KEY_FILE = "/etc/apt/keyrings/dockmaster-docker.asc"
SOURCES = "/etc/apt/sources.list.d/dockmaster-docker.sources"
Install = Callable[..., str]


@pytest.fixture
def install(play: Callable[..., str], tmp_path: Path) -> Install:
    """Install Docker from that repository, and return the output."""
    key = tmp_path / "docker.asc"
    key.write_text(KEY)
    variables = json.dumps({"docker_engine_repository": {"uri": URI, "key": str(key)}})

    def run(*arguments: str, fails: bool = False) -> str:
        arguments = ("--tags", "docker_engine_install", "--extra-vars", variables, *arguments)
        return play("molecule/default/repository.yml", *arguments, fails=fails)

    return run


@pytest.fixture
def _failed(host: Host, install: Install, play: Callable[..., str]) -> Iterator[None]:
    """Try to install Docker, which fails because the repository is unreachable. Remove everything at the end."""
    assert "Failed to update apt cache" in install(fails=True)
    yield
    play("playbooks/remove.yml")
    for path in (KEY_FILE, SOURCES, "/var/lib/dockmaster"):
        assert not host.file(path).exists


def test_check_mode_lists_the_packages_of_the_repository(host: Host, install: Install) -> None:
    output = " ".join(install("--check", "--diff").split())
    packages = output.partition("Packages to install: ")[2].partition("'")[0].split(", ")
    assert {"docker-ce", "docker-ce-cli", "containerd.io"} < set(packages)
    assert "docker.io" not in packages
    assert f"+URIs: {URI}" in output
    assert not host.file(SOURCES).exists


@pytest.mark.usefixtures("_failed")
def test_apt_uses_the_repository_with_its_key(host: Host) -> None:
    release = f"{URI}/dists/{host.system_info.codename}/InRelease"
    assert release in host.check_output("apt-get update --print-uris")
    assert f"Signed-By: {KEY_FILE}" in host.file(SOURCES).content_string
    assert host.file(KEY_FILE).content_string == KEY
    assert host.file(KEY_FILE).mode == 0o644
