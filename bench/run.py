"""The measurements, one after the other, inside the namespaces that ``python -m bench`` makes."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from . import addresses, churn, command, convergence, dead, engine, idle, machine, report, scale, smoke, throughput
from .figures import Figure, Results
from .place import CACHE, RESULTS, RUN
from .plan import SHORT, SMOKE, Plan

MEASUREMENTS: Mapping[str, Callable[[Plan], list[Figure]]] = {
    "convergence": convergence.measure,
    "churn": churn.measure,
    "addresses": addresses.measure,
    "throughput": throughput.measure,
    "idle": idle.measure,
    "dead": dead.measure,
    "scale": scale.measure,
}


def main() -> int:
    """Measure what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = os.environ.get("BENCH", "").split()
    parser.add_argument("names", nargs="*", default=names or list(MEASUREMENTS), metavar="MEASUREMENT")
    parser.add_argument("--smoke", action="store_true", help="everything in miniature, to see that it works")
    parser.add_argument(
        "--short",
        action="store_true",
        default=bool(os.environ.get("BENCH_SHORT")),
        help="less of everything: half an hour or so (BENCH_SHORT=1 does the same)",
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no such measurement: {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    prepare()
    try:
        plan, folder = (SMOKE, CACHE / "smoke") if options.smoke else (SHORT if options.short else Plan(), RESULTS)
        results = measure(options.names, plan, folder)
    finally:
        engine.wipe()
    said = [f"{one.measurement}: {what}" for one in results for what in smoke.wrong(one.figures) if options.smoke]
    print(*said, sep="\n", file=sys.stderr, end="")
    return 1 if said else 0


def prepare() -> None:
    """Make the namespaces usable: a loopback, and a /run that nobody else sees."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "bench", "/run"], check=True)
    RUN.mkdir()
    engine.wipe()
    command.install()


def measure(names: Sequence[str], plan: Plan, folder: Path) -> list[Results]:
    """Make the measurements, keep and print what comes out."""
    about = machine.describe()
    made = []
    for name in names:
        when, began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), time.monotonic()
        figures = MEASUREMENTS[name](plan)
        results = Results(name, when, time.monotonic() - began, about, asdict(plan), figures)
        results.save(folder)
        made.append(results)
        print(f"\n{report.text(results)}\n", flush=True)
    # It has a virtual environment of its own: the rest needs none of what it brings.
    subprocess.run([CACHE / "plots" / "bin" / "python", "-m", "bench.plots", folder], check=True)
    return made


if __name__ == "__main__":
    sys.exit(main())
