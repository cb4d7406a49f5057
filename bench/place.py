"""Where things are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench"
"""What bench/prepare.yml made."""
RESULTS = ROOT / "bench" / "results"
RUN = Path("/run/bench")
"""Sockets, configurations and logs of a run, in memory that only its namespaces see."""
