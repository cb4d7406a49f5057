"""Figures for Prometheus, in the text file format of its node exporter."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from . import files

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""


class Metrics:
    """Counters, gauges and the one histogram of a process.

    Args:
        writer: ``sync`` or ``watch``: each has a file of its own, and names of its own in it.
        folder: where the file goes; None, or a folder that is not there, for nowhere.
    """

    def __init__(self, writer: str, folder: Path | None) -> None:
        self._path = folder / f"dockmaster_{writer}.prom" if folder and folder.is_dir() else None
        self.registry = CollectorRegistry()
        prefix = f"dockmaster_{writer}"
        self.changes = Counter(
            f"{prefix}_changes", "Changes of servers at run time.", ["change"], registry=self.registry
        )
        self.passes = Counter(f"{prefix}_passes", "Passes, by how they ended.", ["result"], registry=self.registry)
        self.reloads = Counter(f"{prefix}_reloads", "Reloads of HAProxy.", registry=self.registry)
        self.last_pass = Gauge(
            f"{prefix}_last_pass_timestamp_seconds", "When the last pass ended well.", registry=self.registry
        )
        self.last_answer = Gauge(
            f"{prefix}_source_last_answer_timestamp_seconds",
            "When a Docker host last answered.",
            ["docker_host"],
            registry=self.registry,
        )
        self.applied = Histogram(
            f"{prefix}_event_to_applied_seconds",
            "From hearing of an event to HAProxy's answer.",
            buckets=BUCKETS,
            registry=self.registry,
        )

    def go_on(self) -> None:
        """Count on from where the file stops: a pass is a process of its own."""
        text = (files.read(self._path) or "") if self._path else ""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.endswith("_changes_total"):
                    self.changes.labels(**sample.labels).inc(sample.value)
                elif sample.name.endswith("_passes_total"):
                    self.passes.labels(**sample.labels).inc(sample.value)
                elif sample.name.endswith("_reloads_total"):
                    self.reloads.inc(sample.value)

    def save(self) -> None:
        """Write the file."""
        if self._path:
            files.replace(self._path, generate_latest(self.registry).decode())
