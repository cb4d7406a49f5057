"""Show results as tables, in a terminal and on pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import Figure, Results, number

HEAD = ("what", "of", "servers", "median", "from", "to", "times", "goal", "reached")


def rows(figures: Iterable[Figure]) -> list[tuple[str, ...]]:
    """Return a row for each figure. The last column says whether the goal is reached."""
    table = []
    for figure in figures:
        unit = f" {figure.unit}" if figure.unit else ""
        verdict = ("yes" if figure.reached else "no") if figure.goal else ""
        size = "" if figure.size is None else number(figure.size)
        ends = [number(end) for end in (min(figure.values), max(figure.values))] if len(figure.values) > 1 else ["", ""]
        times = number(len(figure.values))
        table.append((figure.what, figure.of, size, number(figure.median) + unit, *ends, times, figure.goal, verdict))
    return table


def text(results: Results) -> str:
    """Return the table for a terminal."""
    table = [HEAD, *rows(results.figures)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([f"{results.measurement}, {results.seconds:.0f} s", *lines])


def page(results: Results) -> str:
    """Return the page with every figure of a measurement, and the machine."""
    name = results.measurement
    table = markdown(HEAD, rows(figure for figure in results.figures if not figure.detail))
    machine = "\n".join(f"- {key}: {value}" for key, value in results.machine.items())
    return f"""# Every figure of `{name}`

[Performance](../performance.md) says what was measured and how. `python -m bench.publish` writes this page from
[{name}.json]({name}.json), which also has each value.

{table}

{measured(results)} It took {results.seconds / 60:.1f} minutes on this machine:

{machine}
"""


def measured(results: Results) -> str:
    """Say when it was measured, and whether in full."""
    size = "in full" if results.in_full else "with less of everything (`BENCH_SHORT=1`)"
    return f"Measured on {results.when}, {size}."


def markdown(head: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    """Return a table for a page, without columns that are empty in every row."""
    used = [column for column in range(len(head)) if any(row[column] for row in table)]
    lines = [f"| {' | '.join(row[column] for column in used)} |" for row in (head, *table)]
    return "\n".join([lines[0], "|---" * len(used) + "|", *lines[1:]])
