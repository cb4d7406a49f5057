"""The metrics for Prometheus read back, and a damaged file fails no sync."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dockmaster.report.metrics import SyncMetrics, WatchMetrics
from prometheus_client.parser import text_string_to_metric_families

HOSTS = ["one"]


def values(path: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name.removeprefix("dockmaster_"), tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def test_counters_read_back(tmp_path: Path) -> None:
    metrics = WatchMetrics(tmp_path)
    metrics.changes.labels("added").inc()
    metrics.applied.observe(0.003)
    metrics.last_answer.labels("one").set_to_current_time()
    metrics.save()
    read = values(tmp_path / "dockmaster_watch.prom")
    assert read["watch_changes_total", ("added",)] == 1
    assert read["watch_event_to_applied_seconds_count", ()] == 1
    assert read["watch_event_to_applied_seconds_bucket", ("0.0025",)] == 0
    assert read["watch_event_to_applied_seconds_bucket", ("0.005",)] == 1
    assert abs(read["watch_source_last_answer_timestamp_seconds", ("one",)] - time.time()) < 60


def test_each_sync_adds_to_the_counters_of_the_last_one(tmp_path: Path) -> None:
    for _ in range(3):
        metrics = SyncMetrics(tmp_path, HOSTS)
        metrics.runs.labels("done").inc()
        metrics.changes.labels("drained").inc(2)
        metrics.reloads.inc()
        metrics.save()
    read = values(tmp_path / "dockmaster_sync.prom")
    assert read["sync_runs_total", ("done",)] == 3
    assert read["sync_changes_total", ("drained",)] == 6
    assert read["sync_reloads_total", ()] == 3


def test_host_that_left_the_configuration_has_no_figure(tmp_path: Path) -> None:
    metrics = SyncMetrics(tmp_path, ["one", "gone"])
    for host in ("one", "gone"):
        metrics.last_answer.labels(host).set_to_current_time()
    metrics.save()
    SyncMetrics(tmp_path, HOSTS).save()
    read = values(tmp_path / "dockmaster_sync.prom")
    assert [labels for name, labels in read if name.endswith("_last_answer_timestamp_seconds")] == [("one",)]


@pytest.mark.parametrize(
    "text",
    [
        "{{{",
        "dockmaster_sync_runs_total",
        'dockmaster_sync_runs_total{result="do',
        'dockmaster_sync_runs_total{other="done"} 3\n',
        "dockmaster_sync_reloads_total many\n",
        "dockmaster_sync_reloads_total -3\n",
        "dockmaster_sync_reloads_total NaN\n",
        "\x00\xff",
    ],
)
def test_damaged_file_starts_the_counters_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dockmaster_sync.prom"
    path.write_bytes(text.encode("latin-1"))
    metrics = SyncMetrics(tmp_path, HOSTS)
    metrics.runs.labels("done").inc()
    metrics.save()
    assert values(path)["sync_runs_total", ("done",)] == 1
    assert values(path)["sync_reloads_total", ()] == 0


def test_nothing_is_written_without_a_folder(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "none"):
        metrics = SyncMetrics(folder, HOSTS)
        metrics.save()
    assert list(tmp_path.iterdir()) == []
