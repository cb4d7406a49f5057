"""What the tests on real hosts share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from ask import containers, cron_at_work, within
from testinfra.host import Host
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
Play = Callable[..., str]
LOGS = (
    "journalctl --no-pager --lines 40 --priority notice --unit haproxy",
    "journalctl --no-pager --lines 40 --unit docker --unit cron",
    "journalctl --no-pager --lines 40 --unit dockmaster-watch --unit dockmaster-sync",
    "tail --lines 40 /var/log/docker.log /var/log/dockmaster-watch.log",
    "docker --host unix:///var/run/docker.sock ps --all",
    "cat /etc/haproxy/haproxy.cfg",
    "dockmaster status",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of the host to the report of a failed test."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        for command in LOGS:
            result = host.run(command)
            if result.rc == 0:
                report.sections.append((command, result.stdout))
    return report


class ByHost(LoadScopeScheduling):  # type: ignore[misc]  # It has no types.
    """Runs the tests of one host one after the other, beside those of other hosts."""

    def _split_scope(self, nodeid: str) -> str:
        found = re.search(r"dockmaster-test-[a-z]+", nodeid)
        return found[0] if found else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByHost:
    """Distribute tests by host if they run in parallel."""
    return ByHost(config, log)


@pytest.fixture
def play(request: pytest.FixtureRequest, host: Host) -> Play:
    """Run a playbook on the host of the test, and return its output. With ``fails``, it must fail."""

    def run(playbook: str, *arguments: str, fails: bool = False) -> str:
        inventory = str(request.config.getoption("ansible_inventory"))
        limit = ["--inventory", inventory, "--limit", host.backend.hostname]
        command = ["ansible-playbook", *limit, *arguments, str(ROOT / playbook)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, output
        return output

    return run


@pytest.fixture
def without_cron(host: Host) -> Iterator[None]:
    """Stop cron and the syncs that it runs."""
    # "stop" leaves running children of cron alone.
    host.check_output("systemctl kill cron && systemctl stop cron")
    yield
    host.check_output("systemctl start cron")


@pytest.fixture
def without_others(host: Host, without_cron: None) -> Iterator[None]:  # noqa: ARG001
    """Stop cron, the watcher and the syncs that it requests: only the test changes anything."""
    units = "dockmaster-sync.path dockmaster-watch"
    host.check_output(f"systemctl stop {units} dockmaster-sync")
    yield
    host.check_output(f"systemctl start {units}")


@pytest.fixture
def third(host: Host) -> Iterator[str]:
    """Start a third container by hand, and return its short id."""
    within(65, lambda: cron_at_work(host))
    container = host.check_output("docker -H tcp://127.0.0.1:4243 run -d -p 8000 local/nodeapp")[:12]
    yield container
    host.check_output("docker rm --force %s", container)
    within(30, lambda: container not in containers(host))
