"""Paths."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench"
"""The files that bench/prepare.yml makes."""
RESULTS = ROOT / "bench" / "results"
RUN = Path("/run/bench")
"""Sockets, configurations and logs of a run, in memory that only its namespaces can see."""
