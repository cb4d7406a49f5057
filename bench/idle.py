"""Idle: what a system uses while no container changes."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from . import command
from .containers import BALANCER_PORT, LOOPBACK, Running, run
from .engine import engine
from .figures import Figure
from .place import ROOT
from .plan import Plan
from .probe import first_answer
from .processes import started, usage
from .systems import System, chosen, configuration, folder, watcher
from .waiting import until

MEGABYTE = 1_000_000
GOALS, TOGETHER = (0.05, 50.0), (0.10, 60.0)
"""CPU seconds per minute and megabytes: of the watcher, and of everything of Dockmaster together."""
INTERVAL = 5
PERIODIC = ROOT / "roles" / "dockmaster" / "files" / "periodic"
# Runs the line of cron's file every minute, without writing to the log of this machine.
CRON = """
while :; do
    sh -c 'flock -n --no-fork "$0" "$@" 2>&1 | logger --no-act --stderr -t dockmaster' "$@"
    sleep 2
done
"""
MINUTES_FROM_SYNC_TO_SYNC = 10
PATIENCE = 90.0


def measure(plan: Plan) -> list[Figure]:
    """Measure every system with the same containers."""
    figures = []
    with engine() as client:
        containers = [run(client) for _ in range(plan.idle_containers)]
        for name, start in chosen(plan):
            with start() as system:
                _all_answer(containers)
                figures += used(system, plan.idle_seconds, goals=GOALS if system.interval == 0 else None)
            print(f"idle: {name} done", flush=True)
        if "watch" in plan.systems:
            figures += _together(containers, plan.idle_seconds)
    return figures


def _all_answer(containers: list[Running]) -> None:
    for one in containers:
        first_answer((LOOPBACK, BALANCER_PORT), one.name)


def _together(containers: list[Running], seconds: float) -> list[Figure]:
    """Measure the watcher together with the check that cron starts every minute, and with its share of a sync."""
    with folder("together") as where:
        config = configuration(where)
        with watcher(config) as system, _cron(config) as pid:
            _all_answer(containers)
            sync = _cpu_of_sync(config)
            together = replace(system, name="watch and cron", roots=[*system.roots, pid])
            figures = used(together, seconds, goals=TOGETHER, cpu_of_others=sync / MINUTES_FROM_SYNC_TO_SYNC)
    print("idle: watch and cron done", flush=True)
    return [*figures, Figure("CPU of a sync without a change", together.name, "s", [sync])]


@contextmanager
def _cron(config: Path) -> Iterator[int]:
    """Start every minute what cron starts besides the watcher, and wait for its first sync."""
    where = config.parent
    haproxy_cfg, own, log = where / "haproxy.cfg", where / "cron", where / "cron.log"
    periodic: list[str | Path] = [PERIODIC, where / "run", haproxy_cfg, *command.sync(config, "--every", f"{INTERVAL}")]
    line = ["sh", "-c", CRON, "sh", where / "cron.lock", *periodic]
    until("the watcher's sign of life", (where / "run" / "alive").exists)
    with started(line, log, {"PERIODIC_DIRECTORY": str(own)}) as process:
        synced = own / "synced"
        until(
            "a sync that cron made after the last change",
            lambda: synced.exists() and synced.stat().st_mtime > haproxy_cfg.stat().st_mtime,
            PATIENCE,
        )
        yield process.pid


def _cpu_of_sync(config: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = command.sync(config, "--every", f"{INTERVAL}", "--for", "0")
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def used(
    system: System,
    seconds: float,
    *,
    size: int | None = None,
    when: str = "",
    goals: tuple[float, float] | None = None,
    cpu_of_others: float = 0.0,
) -> list[Figure]:
    """Measure what the discovery and HAProxy use for some seconds, with CPU time scaled to a minute.

    Args:
        system: the system.
        seconds: how long to measure.
        size: the number of servers.
        when: the state of the system, in words.
        goals: CPU seconds and megabytes that the discovery may use.
        cpu_of_others: CPU seconds per minute that the discovery needs on average, but not during this time.
    """
    before = usage(system.roots)
    time.sleep(seconds)
    after = usage(system.roots)
    figures = []
    for part, limits, more in (
        ("discovery", goals or (None, None), cpu_of_others),
        ("haproxy", (None, None), 0.0),
    ):
        of = f"{system.name}: {part}{when and f', {when}'}"
        cpu = (after[part].cpu - before[part].cpu) / seconds * 60 + more
        figures += [
            Figure("CPU of an idle minute", of, "s", [cpu], size, at_most=limits[0]),
            Figure("memory, resident", of, "MB", [after[part].rss / MEGABYTE], size, at_most=limits[1]),
            Figure("memory, its share", of, "MB", [after[part].pss / MEGABYTE], size),
        ]
    return figures
