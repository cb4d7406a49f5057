"""Figures for Prometheus, in the text file format of its node exporter."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from .. import files

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""


class Metrics:
    """What syncs and the watcher both count.

    Args:
        writer: ``sync`` or ``watch``: each has a file of its own, and names of its own in it.
        folder: where the file goes; None, or a folder that is not there, for nowhere.
    """

    def __init__(self, writer: str, folder: Path | None) -> None:
        self._path = folder / f"dockmaster_{writer}.prom" if folder and folder.is_dir() else None
        self._prefix = f"dockmaster_{writer}"
        self.registry = CollectorRegistry()
        self.changes = Counter(
            f"{self._prefix}_changes", "Changes of servers at run time.", ["change"], registry=self.registry
        )
        self.last_answer = Gauge(
            f"{self._prefix}_source_last_answer_timestamp_seconds",
            "When a Docker host last answered.",
            ["docker_host"],
            registry=self.registry,
        )

    def save(self) -> None:
        """Write the file."""
        if self._path:
            # Figures that cannot be written are no reason to fail: their age tells.
            with suppress(OSError):
                files.replace(self._path, generate_latest(self.registry).decode())


class WatchMetrics(Metrics):
    """What the watcher counts."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__("watch", folder)
        self.applied = Histogram(
            f"{self._prefix}_event_to_applied_seconds",
            "From hearing of an event to HAProxy's answer.",
            buckets=BUCKETS,
            registry=self.registry,
        )


class SyncMetrics(Metrics):
    """What syncs count. A sync is a process of its own, so it goes on from where the file stops."""

    def __init__(self, folder: Path | None, hosts: Collection[str]) -> None:
        super().__init__("sync", folder)
        self.runs = Counter(f"{self._prefix}_runs", "Syncs, by how they ended.", ["result"], registry=self.registry)
        self.reloads = Counter(f"{self._prefix}_reloads", "Reloads of HAProxy.", registry=self.registry)
        self.last_success = Gauge(
            f"{self._prefix}_last_success_timestamp_seconds", "When the last sync ended well.", registry=self.registry
        )
        self._go_on(hosts)

    def _go_on(self, hosts: Collection[str]) -> None:
        """Count on from where the file stops, but for hosts that are not asked any more. A damaged one begins anew."""
        text = (files.read_left(self._path) or "") if self._path else ""
        try:
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        except ValueError:
            return
        for sample in samples:
            # A counter takes no negative number, and would never come back from one that is none.
            if not sample.value > 0:
                continue
            if sample.name.endswith("_last_success_timestamp_seconds"):
                self.last_success.set(sample.value)
            elif sample.name.endswith("_last_answer_timestamp_seconds") and sample.labels.get("docker_host") in hosts:
                self.last_answer.labels(sample.labels["docker_host"]).set(sample.value)
            elif sample.name.endswith("_changes_total") and "change" in sample.labels:
                self.changes.labels(sample.labels["change"]).inc(sample.value)
            elif sample.name.endswith("_runs_total") and "result" in sample.labels:
                self.runs.labels(sample.labels["result"]).inc(sample.value)
            elif sample.name.endswith("_reloads_total"):
                self.reloads.inc(sample.value)
