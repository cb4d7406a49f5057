"""What the tests on real hosts share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from ask import containers, within
from testinfra.host import Host

LOGS = (
    "journalctl --no-pager --lines 40 --priority notice --unit haproxy",
    "journalctl --no-pager --lines 40 --unit docker --unit cron",
    "tail --lines 40 /var/log/docker.log",
    "docker --host unix:///var/run/docker.sock ps --all",
    "cat /etc/haproxy/haproxy.cfg",
    "dockmaster status",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the host has to say about a test that failed on it."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        for command in LOGS:
            result = host.run(command)
            if result.rc == 0:
                report.sections.append((command, result.stdout))
    return report


@pytest.fixture
def play(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Run a playbook on the hosts of the scenario; what it printed."""

    def run(playbook: Path) -> str:
        inventory = str(request.config.getoption("ansible_inventory"))
        done = subprocess.run(
            ["ansible-playbook", "--inventory", inventory, playbook], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def without_cron(host: Host) -> Iterator[None]:
    """No passes but those that the test makes."""
    # The one that is under way as well: "stop" leaves cron's children alone.
    host.check_output("systemctl kill cron && systemctl stop cron")
    yield
    host.check_output("systemctl start cron")


def cron_at_work(host: Host) -> bool:
    """Whether the process that cron starts at the full minute is there."""
    return "/dockmaster-cron.lock" in host.check_output("lslocks --noheadings --output PATH")


@pytest.fixture
def third(host: Host) -> Iterator[str]:
    """Start a container by hand, as the seed does; the short form of its id."""
    within(65, lambda: cron_at_work(host))
    container = host.check_output("docker -H tcp://127.0.0.1:4243 run -d -p 8000 local/nodeapp")[:12]
    yield container
    host.check_output("docker rm --force %s", container)
    within(30, lambda: container not in containers(host))
