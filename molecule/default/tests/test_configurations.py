"""Configurations that Ansible did not write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ask import SERVICE, containers, get
from testinfra.host import Host

testinfra_hosts = ["ansible://trixie"]

HAPROXY_CFG = "/etc/haproxy/haproxy.cfg"
SYNAPSE = Path(__file__).parents[3] / "tests" / "unit" / "data" / "synapse.json.conf"


def write(host: Host, path: str, text: str) -> None:
    host.check_output("printf %%s %s > %s", text, path)


def test_configuration_that_haproxy_refuses_changes_nothing(host: Host) -> None:
    settings = host.file("/etc/dockmaster/dockmaster.yml").content_string
    before = host.file(HAPROXY_CFG).sha256sum
    started = host.process.filter(comm="haproxy")
    write(host, "/tmp/refused.yml", settings.replace("- mode http", "- mode http\n      - nonsense here", 1))

    result = host.run("dockmaster sync --config /tmp/refused.yml")

    assert result.rc == 1
    assert "unknown keyword 'nonsense'" in result.stderr
    assert host.file(HAPROXY_CFG).sha256sum == before
    assert {process.pid for process in started} == {process.pid for process in host.process.filter(comm="haproxy")}
    assert len(set(containers(host))) == 2


@pytest.fixture
def synapse_output(host: Host) -> Iterator[str]:
    """Sync once with an unchanged configuration of Synapse, and return the output."""
    write(host, "/tmp/synapse.json.conf", SYNAPSE.read_text())
    yield host.check_output("dockmaster sync --config /tmp/synapse.json.conf")
    host.check_output("dockmaster sync")


@pytest.mark.usefixtures("without_others")
def test_configuration_of_synapse_works_unchanged(host: Host, synapse_output: str) -> None:
    text = host.file(HAPROXY_CFG).content_string
    assert re.search(r"option httpchk( GET)? /$", text, re.MULTILINE)
    assert "http-check expect string Hello" in text
    assert "contimeout" not in text
    assert all(keyword in synapse_output for keyword in ("contimeout", "clitimeout", "srvtimeout"))
    assert get(host, SERVICE)[0][0] == 200
    assert len(set(containers(host))) == 2
