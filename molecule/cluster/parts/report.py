"""The report of the faults: a page with a table, and a picture with a timeline of each fault.

To publish the report of a run: ``cp .cache/molecule-cluster/cluster-faults.* docs/``.
To write the page again from the published figures: ``python molecule/cluster/parts/report.py docs``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cluster import DOCKER_HOSTS
from fault import RESULTS, of_host, short
from steady import PATIENCE, RATE

Result = dict[str, Any]

_COLOURS = dict(zip(DOCKER_HOSTS, ("#4477aa", "#ccbb44", "#66ccee"), strict=True))
_OTHERS = "#bbbbbb"
_MARKS = {"injected": "#000000", "followed": "#228833", "undone": "#777777"}
_LOST = "#cc0000"
_WIDTH, _LEFT, _RIGHT, _PLOT, _LINE, _TOP = 960, 44, 10, 70, 15, 60
_PAGE = f"""# What faults cost

Each row is one fault in a cluster of two balancers and three Docker hosts, under a steady client. The client sends
{RATE} requests a second to each balancer, on new and on kept connections; one request in four is a POST. It never
repeats a request.

- **Lost** requests got no complete answer 200 within {PATIENCE:g} s.
- **Allowed** is how many requests may be lost, and why. The test fails if more are lost.
- **Moved** requests were served by the other balancer, because the first one accepted no connection. A client that
  knows both addresses does the same.
- **Slowest** is the time of the slowest request.
- **What followed** says what the cluster did, and how many seconds after the fault or its repair.

The scenario `cluster` writes this page: run `make molecule-cluster`, then
`cp .cache/molecule-cluster/cluster-faults.* docs/`.

![Requests per second, by Docker host, during each fault](cluster-faults.svg)

"""
_BINS = 160
"""At most this many in a timeline; none is shorter than half a second."""


def results() -> list[Result]:
    """Return the result of each fault of the last run, in order."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def write(folder: Path) -> list[Path]:
    """Write the figures, the page and its picture, and return their paths."""
    faults = results()
    summaries = [summary(one) for one in faults]
    texts = {
        "cluster-faults.json": json.dumps({"faults": summaries}, indent=2) + "\n",
        "cluster-faults.md": page(summaries),
        "cluster-faults.svg": timeline(faults),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def summary(result: Result) -> Result:
    """Return a result without the lines of the client, except for requests that were not served."""
    first = result["marks"][0]["at"] if result["marks"] else 0.0
    return {
        **{key: result[key] for key in ("name", "asked", "lost", "moved", "allowed")},
        "slowest": max((float(line["slowest"]) for line in result["seen"] if "slowest" in line), default=0.0),
        "marks": [{**mark, "at": round(mark["at"] - first, 2)} for mark in result["marks"]],
        "not_served": [line for line in result["seen"] if "outcome" in line],
    }


def page(summaries: Sequence[Result]) -> str:
    """Return the page."""
    return _PAGE + table(summaries)


def table(summaries: Sequence[Result]) -> str:
    """Return a Markdown table with a row for each fault."""
    lines = ["| fault | requests | lost | allowed | moved | slowest | what followed |", "|---|--:|--:|---|--:|--:|---|"]
    for one in summaries:
        allowed = one["allowed"]
        most = " and ".join(
            words
            for words in (
                f"{allowed['requests']}" if allowed["requests"] else "",
                f"{allowed['posts']} POSTs" if allowed["posts"] else "",
            )
            if words
        )
        followed = "; ".join(
            f"{mark['what']}: {mark['after']:g} s" for mark in one["marks"] if mark["after"] is not None
        )
        why = f"{most}: {allowed['why']}" if most else "none"
        cells = (one["name"], one["asked"], one["lost"], why, one["moved"], f"{one['slowest']:.2f} s", followed)
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def timeline(faults: Sequence[Result]) -> str:
    """Return an SVG of the requests per second that each Docker host served, with marks and lost requests."""
    parts, top = [], _TOP
    for one in faults:
        rows = _legend(one)
        parts.append(f'<g transform="translate(0 {top})">{"".join(_row(one, rows))}</g>')
        top += _PLOT + 34 + _LINE * len(rows) + 14
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" font-family="sans-serif" font-size="11">'
        f'<rect width="{_WIDTH}" height="{top}" fill="#ffffff"/>'
        f'<text x="{_LEFT}" y="18" font-size="14">Requests per second, by Docker host, during each fault</text>'
    )
    return head + "".join(_key()) + "".join(parts) + "</svg>\n"


def _key() -> Iterator[str]:
    x = _LEFT
    for name, colour in [*((short(name), colour) for name, colour in _COLOURS.items()), ("lost", _LOST)]:
        yield f'<rect x="{x}" y="30" width="10" height="10" fill="{colour}"/><text x="{x + 14}" y="39">{name}</text>'
        x += 70
    for kind, colour in _MARKS.items():
        yield f'<path d="M{x} 28v14" stroke="{colour}" stroke-width="1.5"/><text x="{x + 6}" y="39">{kind}</text>'
        x += 80


def _legend(one: Result) -> list[str]:
    """Return the meaning of the numbered marks, in lines that fit."""
    start = _start(one)
    lines = [""]
    for number, mark in enumerate(one["marks"], 1):
        after = "" if mark["after"] is None else f", {mark['after']:g} s after"
        words = f"{number} {mark['what']} ({mark['at'] - start:.1f} s{after})"
        if lines[-1] and len(lines[-1]) + len(words) > 150:
            lines.append("")
        lines[-1] += f" · {words}" if lines[-1] else words
    return lines


def _start(one: Result) -> float:
    return float(next(line["t"] for line in one["seen"] if "served" in line and "t" in line))


def _spread(intervals: Sequence[Result], start: float, width: float) -> dict[int, dict[str, float]]:
    """Return the requests per second by Docker host in each bin. An interval counts by its share in the bin."""
    bins: dict[int, dict[str, float]] = {}
    covered: dict[int, float] = {}
    for line in intervals:
        begin, end = line["t"] - start, line["t"] - start + line["seconds"]
        for index in range(int(begin / width), int(end / width) + 1):
            overlap = max(0.0, min(end, (index + 1) * width) - max(begin, index * width))
            covered[index] = covered.get(index, 0.0) + overlap
            for name, count in of_host(line).items():
                rates = bins.setdefault(index, {})
                rates[name] = rates.get(name, 0.0) + count * overlap / line["seconds"]
    return {
        index: {name: count / covered[index] for name, count in rates.items()}
        for index, rates in bins.items()
        # The last bin may cover too little time.
        if covered[index] > width / 10
    }


def _row(one: Result, legend: Sequence[str]) -> Iterator[str]:
    intervals = [line for line in one["seen"] if "seconds" in line]
    start = _start(one)
    length = max(1.0, intervals[-1]["t"] + intervals[-1]["seconds"] - start)
    scale = (_WIDTH - _LEFT - _RIGHT) / length
    lost = f"{one['lost']} lost" + (f", {one['moved']} moved" if one["moved"] else "")
    yield f'<text x="{_LEFT}" y="10" font-weight="bold">{escape(one["name"])}</text>'
    yield f'<text x="{_WIDTH - _RIGHT}" y="10" text-anchor="end">{one["asked"]} requests, {lost}</text>'

    width = max(0.5, length / _BINS)
    bins = _spread(intervals, start, width)
    most = max(sum(rates.values()) for rates in bins.values())
    base = 16 + _PLOT
    for index, rates in sorted(bins.items()):
        y = float(base)
        for name in [*_COLOURS, *sorted(rates.keys() - _COLOURS.keys())]:
            height = rates.get(name, 0.0) / most * _PLOT
            if height:
                y -= height
                yield (
                    f'<rect x="{_LEFT + index * width * scale:.1f}" y="{y:.1f}" width="{width * scale + 0.2:.1f}" '
                    f'height="{height:.1f}" fill="{_COLOURS.get(name, _OTHERS)}"/>'
                )
    yield f'<path d="M{_LEFT} 16V{base}H{_WIDTH - _RIGHT}" fill="none" stroke="#444444"/>'
    yield f'<text x="{_LEFT - 4}" y="24" text-anchor="end">{most:.0f}</text>'
    yield f'<text x="{_LEFT - 4}" y="{base}" text-anchor="end">0</text>'
    step = next(step for step in (1, 2, 5, 10, 20, 60, 120) if length / step <= 12 or step == 120)
    for second in range(0, int(length) + 1, step):
        yield f'<text x="{_LEFT + second * scale:.1f}" y="{base + 12}" text-anchor="middle">{second} s</text>'

    for line in one["seen"]:
        if line.get("outcome") == "lost":
            x = _LEFT + (line["t"] - start) * scale
            yield f'<path d="M{x:.1f} 16v{_PLOT}" stroke="{_LOST}"><title>{escape(line["error"])}</title></path>'
    for number, mark in enumerate(one["marks"], 1):
        x = _LEFT + (mark["at"] - start) * scale
        colour = _MARKS[mark["kind"]]
        yield f'<path d="M{x:.1f} 14v{_PLOT + 2}" stroke="{colour}" stroke-width="1.5"/>'
        yield f'<text x="{x + 2:.1f}" y="24" font-weight="bold" fill="{colour}">{number}</text>'
    for number, words in enumerate(legend):
        yield f'<text x="{_LEFT}" y="{base + 28 + _LINE * number}" fill="#444444">{escape(words)}</text>'


if __name__ == "__main__":
    docs = Path(sys.argv[1])
    published = json.loads((docs / "cluster-faults.json").read_text())
    (docs / "cluster-faults.md").write_text(page(published["faults"]))
