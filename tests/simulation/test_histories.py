"""Whatever happens, and in whatever order, the watcher and syncs keep their promises."""

from __future__ import annotations

import os
import time

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.histories import Histories, counted

SETTINGS = hypothesis.settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=int(os.environ.get("HIST", "30")),
    stateful_step_count=30,
    print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def test_promises_hold_whatever_happens(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    run_state_machine_as_test(Histories, settings=SETTINGS)
    minutes = (time.monotonic() - began) / 60
    with capsys.disabled():
        print(f"\n{counted['histories']} histories, {counted['steps']} steps in {60 * minutes:.0f} s")
