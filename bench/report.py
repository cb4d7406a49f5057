"""Results as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import Figure, Results, number

HEAD = ("what", "of", "servers", "median", "from", "to", "times", "goal", "")


def rows(figures: Iterable[Figure]) -> list[tuple[str, ...]]:
    """A row for each figure; the last column says whether the goal was reached."""
    table = []
    for figure in figures:
        unit = f" {figure.unit}" if figure.unit else ""
        verdict = ("yes" if figure.reached else "NO") if figure.goal else ""
        size = "" if figure.size is None else number(figure.size)
        ends = [number(end) for end in (min(figure.values), max(figure.values))] if len(figure.values) > 1 else ["", ""]
        times = number(len(figure.values))
        table.append((figure.what, figure.of, size, number(figure.median) + unit, *ends, times, figure.goal, verdict))
    return table


def text(results: Results) -> str:
    """The table for a terminal."""
    table = [HEAD, *rows(results.figures)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([f"{results.measurement}, {results.seconds:.0f} s", *lines])


def markdown(results: Results) -> str:
    """The table for a page; columns that are empty throughout are left out."""
    table: list[Sequence[str]] = [HEAD, *rows(figure for figure in results.figures if not figure.detail)]
    used = [column for column in range(len(HEAD)) if any(row[column] for row in table[1:])]
    lines = [f"| {' | '.join(row[column] for column in used)} |" for row in table]
    return "\n".join([lines[0], "|---" * len(used) + "|", *lines[1:]])
