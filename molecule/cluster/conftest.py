"""What the tests of the cluster share."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from cluster import BALANCERS, CLIENT, DOCKER_HOSTS, host

LOGS = (
    "dockmaster status",
    "journalctl --no-pager --lines 40 --output cat --unit dockmaster-watch --unit dockmaster-sync",
    "journalctl --no-pager --lines 40 --unit haproxy --unit dockmaster-gateway --unit docker --priority notice",
    "docker ps --all",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:  # noqa: ARG001
    """Add the logs of all hosts to the report of a failed test."""
    report = yield
    if report.failed:
        for name in (*BALANCERS, *DOCKER_HOSTS):
            for command in LOGS:
                result = host(name).run(command)
                if result.stdout:
                    report.sections.append((f"{name}: {command}", result.stdout))
        report.sections.append((CLIENT, host(CLIENT).run("tail --lines 20 /run/steady/seen.jsonl").stdout))
    return report
