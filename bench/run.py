"""Run the measurements one after the other, inside the namespaces of ``python -m bench``."""

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
    """Run the chosen measurements, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = os.environ.get("BENCH", "").split()
    parser.add_argument("names", nargs="*", default=names or list(MEASUREMENTS), metavar="MEASUREMENT")
    parser.add_argument("--smoke", action="store_true", help="measure very little, to see that everything works")
    parser.add_argument(
        "--short",
        action="store_true",
        default=bool(os.environ.get("BENCH_SHORT")),
        help="measure less, in about half an hour (also BENCH_SHORT=1)",
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
    problems = [f"{one.measurement}: {what}" for one in results for what in smoke.wrong(one.figures) if options.smoke]
    print(*problems, sep="\n", file=sys.stderr, end="")
    return 1 if problems else 0


def prepare() -> None:
    """Set up the namespaces: a loopback interface, and a private /run."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "bench", "/run"], check=True)
    RUN.mkdir()
    engine.wipe()
    command.install()


def measure(names: Sequence[str], plan: Plan, folder: Path) -> list[Results]:
    """Run measurements, and save and print their results."""
    about = machine.describe()
    made = []
    for name in names:
        when, began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), time.monotonic()
        figures = MEASUREMENTS[name](plan)
        results = Results(name, when, time.monotonic() - began, about, asdict(plan), figures)
        results.save(folder)
        made.append(results)
        print(f"\n{report.text(results)}\n", flush=True)
    # Plots have their own virtual environment.
    subprocess.run([CACHE / "plots" / "bin" / "python", "-m", "bench.plots", folder], check=True)
    return made


if __name__ == "__main__":
    sys.exit(main())
