"""Each fault begins with a cluster that works; a report of all faults comes at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import report
from ask import within
from cluster import KEPT, whole
from fault import RESULTS

_WRITTEN = pytest.StashKey[list[Path]]()


@pytest.fixture(scope="session", autouse=True)
def reported(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove the results of an earlier run, and write the report at the end."""
    for path in RESULTS.glob("*.json"):
        path.unlink()
    (KEPT / "playbooks.log").unlink(missing_ok=True)
    yield
    if report.results():
        request.config.stash[_WRITTEN] = report.write(KEPT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the faults cost, and where the report is."""
    for path in config.stash.get(_WRITTEN, []):
        terminalreporter.write_line(str(path))
    for one in report.results():
        terminalreporter.write_line(f"{one['lost']:3} of {one['asked']:5} lost, {one['moved']:3} moved: {one['name']}")


@pytest.fixture(autouse=True)
def cluster_works(reported: None) -> None:  # noqa: ARG001
    """Wait until the cluster has recovered from the test before."""
    within(60, whole)
