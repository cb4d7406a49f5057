"""``python -m bench.publish``: write the results into docs/performance.md, and into a page for each measurement."""

from __future__ import annotations

import re
import shutil

from . import report, summary
from .figures import Results
from .place import RESULTS, ROOT

PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "performance"
SUMMARY = "summary"
MARKED = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)


def main() -> None:
    """Copy the results, and write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for path in [*RESULTS.glob("*.json"), *RESULTS.glob("*.svg")]:
        shutil.copy(path, FOLDER)
    results = published()
    PAGE.write_text(filled(PAGE.read_text(), results))
    for name, one in results.items():
        (FOLDER / f"{name}.md").write_text(report.page(one))


def published() -> dict[str, Results]:
    """Return the results in docs/performance by the name of their measurement."""
    return {path.stem: Results.load(path) for path in sorted(FOLDER.glob("*.json"))}


def filled(text: str, results: summary.Published) -> str:
    """Return the page with everything between ``<!-- NAME -->`` and ``<!-- /NAME -->`` replaced."""
    places = [found[1] for found in MARKED.finditer(text)]
    expected = {SUMMARY, *results}
    if len(places) != len(set(places)) or not expected <= set(places):
        raise ValueError(f"{PAGE} has places for {', '.join(places)}: expected one for each of {', '.join(expected)}")
    return MARKED.sub(lambda found: f"<!-- {found[1]} -->\n{_content(found[1], results)}\n<!-- /{found[1]} -->", text)


def _content(name: str, results: summary.Published) -> str:
    if name == SUMMARY:
        return report.markdown(summary.HEAD, summary.table(results))
    if name not in results:
        return "Not measured."
    link = f"[Every figure](performance/{name}.md)"
    return f"![{name}](performance/{name}.svg)\n\n{report.measured(results[name])} {link}."


if __name__ == "__main__":
    main()
