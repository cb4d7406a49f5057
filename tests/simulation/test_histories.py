"""Whatever happens, and in whatever order, the watcher and syncs keep their promises."""

from __future__ import annotations

import os
import time

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.histories import Histories, counted

SECONDS = float(os.environ.get("SIMULATE_SECONDS", "0"))
"""For how long to go on with new histories; 0 for the same ones each time."""

FEW = 60
"""Histories in one go."""


def test_promises_hold_whatever_happens(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    while True:
        run_state_machine_as_test(
            Histories,
            settings=hypothesis.settings(
                deadline=None,
                database=None,
                derandomize=not SECONDS,
                max_examples=FEW,
                stateful_step_count=30,
                print_blob=True,
                suppress_health_check=list(hypothesis.HealthCheck),
            ),
        )
        if time.monotonic() > began + SECONDS:
            break
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\n{counted['histories']} histories, {counted['steps']} steps in {took:.0f} s")
