"""``python -m bench.publish``: take the results over into docs/performance.md, tables, plots and all."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict

from . import report
from .figures import Results
from .place import RESULTS, ROOT
from .plan import Plan

PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "performance"


def main() -> None:
    """Copy the results, then write what the page says of each between its marks."""
    FOLDER.mkdir(exist_ok=True)
    for path in [*RESULTS.glob("*.json"), *RESULTS.glob("*.svg")]:
        shutil.copy(path, FOLDER)
    text = PAGE.read_text()
    for path in sorted(FOLDER.glob("*.json")):
        text = filled(text, Results.load(path))
    PAGE.write_text(text)


def filled(text: str, results: Results) -> str:
    """The page with a measurement's table and plot between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    name = results.measurement
    machine = "; ".join(f"{key} {value}" for key, value in results.machine.items())
    # As it reads back.
    full = json.loads(json.dumps(asdict(Plan())))
    size = "in full" if results.plan == full else "with less of everything (`BENCH_SHORT=1`)"
    parts = [
        report.markdown(results),
        f"![{name}](performance/{name}.svg)",
        f"Measured {results.when} in {results.seconds / 60:.0f} minutes, {size}. {machine}.",
    ]
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    content = "\n\n".join(parts)
    new, count = marked.subn(lambda found: f"{found[1]}{content}\n{found[2]}", text)
    if count != 1:
        raise ValueError(f"{PAGE} has {count} places for {name}: expected one")
    return new


if __name__ == "__main__":
    main()
