"""Draw each measurement: ``python -m bench.plots FOLDER`` makes a picture of each JSON file."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page

from .figures import Figure, Results, number
from .summary import shown

COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#bbbbbb")
GOAL = {"color": "#888888", "linestyle": ":", "linewidth": 1}
WIDTH, LINE, FRAME = 9.0, 0.2, 0.9
"""In inches: the width of a picture, and the height of a row of points and of what is around them."""


def draw(results: Results, path: Path) -> None:
    """Draw a measurement: a panel for each figure of the first table, or for every figure."""
    panels: dict[str, list[Figure]] = {}
    chosen = shown(results.measurement)
    for figure in results.figures:
        if not figure.detail and (not chosen or figure.what in chosen):
            panels.setdefault(figure.what, []).append(figure)
    heights = [2.6 if _sized(figures) else FRAME + LINE * len(figures) for figures in panels.values()]
    page = Page(figsize=(WIDTH, sum(heights) + 0.2), layout="constrained")
    axes = page.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for (what, figures), (panel,) in zip(panels.items(), axes, strict=True):
        (_by_size if _sized(figures) else _points)(panel, figures)
        unit = figures[0].unit
        panel.set_title(f"{what}, {unit}" if unit else what, loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    # Without a date, equal figures give equal files.
    page.savefig(path, metadata={"Date": None})


def _sized(figures: Sequence[Figure]) -> bool:
    return len({figure.size for figure in figures}) > 1 and all(figure.size for figure in figures)


def _points(panel: Axes, figures: Sequence[Figure]) -> None:
    """Draw every value as a point, and the median as a line."""
    for row, figure in enumerate(figures):
        colour = COLOURS[row % len(COLOURS)]
        panel.plot(figure.values, [row] * len(figure.values), "o", color=colour, alpha=0.5, markersize=4)
        panel.plot([figure.median] * 2, [row - 0.3, row + 0.3], color=colour)
        goal = figure.at_least if figure.at_most is None else figure.at_most
        if goal is not None:
            panel.plot([goal] * 2, [row - 0.4, row + 0.4], **GOAL)
    with_size = any(figure.size is not None for figure in figures)
    panel.set_yticks(range(len(figures)), [f"{one.of} ({one.size})" if with_size else one.of for one in figures])
    panel.set_ylim(len(figures) - 0.5, -0.5)
    panel.set_xlim(left=min(0.0, *(min(figure.values) for figure in figures)))


def _by_size(panel: Axes, figures: Sequence[Figure]) -> None:
    """Draw median, minimum and maximum by the number of servers."""
    for colour, of in zip(COLOURS, dict.fromkeys(figure.of for figure in figures), strict=False):
        line = [figure for figure in figures if figure.of == of]
        sizes = [float(figure.size or 0) for figure in line]
        panel.plot(sizes, [figure.median for figure in line], "o-", color=colour, label=of, markersize=4)
        ends = [[end(figure.values) for figure in line] for end in (min, max)]
        panel.fill_between(sizes, *ends, color=colour, alpha=0.2)
    values = [value for figure in figures for value in figure.values]
    panel.set_xscale("log")
    if min(values) > 0:
        panel.set_yscale("log")
        # The axis has numbers at whole decades only.
        panel.set_ylim(10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values))))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(lambda value, _: number(value))
    for goal in {figure.at_most for figure in figures} - {None}:
        panel.axhline(float(goal or 0), **GOAL)
    panel.legend(fontsize=8, frameon=False)


def main() -> None:
    """Draw every result of a folder."""
    mpl.rcParams["svg.hashsalt"] = "dockmaster"
    mpl.rcParams["svg.fonttype"] = "none"
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        draw(Results.load(path), path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
