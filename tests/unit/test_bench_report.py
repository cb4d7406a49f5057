"""The pages of the measurements: every cell is a figure of the results, or says that there is none."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from bench import publish, report, summary
from bench.figures import Figure, Results
from bench.plan import SHORT, Plan
from bench.summary import Name, Row

MADE_UP = Results(
    "churn",
    "2001-02-03 04:05 UTC",
    90,
    {"processor": "an abacus"},
    json.loads(json.dumps(asdict(Plan()))),
    [
        Figure("lost", "watch", "", [3, 1, 2], at_most=0),
        Figure("requests", "watch", "", [1000]),
        Figure("lost", "cron", "", [40]),
        Figure("requests", "cron", "", [200]),
        Figure("time", "watch", "ms", [12.34], size=10, at_most=10),
        Figure("time", "watch", "ms", [99], size=1000),
        Figure("time", "container", "ms", [8], size=10),
        Figure("behind", "watch", "ms", [4.34], size=10, at_most=5),
        Figure("why it was lost", "watch", "", [3], detail=True),
    ],
)
PUBLISHED = {"churn": MADE_UP}
COUNTED = Row("Lost", "churn", "lost", "watch", "cron", "EasyHAProxy", among="requests")
TIMED = Row(
    "Time",
    "churn",
    "time",
    "watch",
    limit=Name("time", "container"),
    limit_is="the container",
    goal=Name("behind", "watch"),
    goal_is="behind the limit",
    size=10,
)
DAY = "[2001-02-03](performance/churn.md)"
PAGE = """Before
<!-- summary -->
old
<!-- /summary -->
Between
<!-- churn -->
<!-- /churn -->
<!-- idle -->
old
<!-- /idle -->
After
"""


def test_a_row_of_made_up_results_has_their_medians_and_goal() -> None:
    """The median, with how many there were; a peer that the results do not have is not measured."""
    expected = ("Lost", "2 in 1,000 requests", "40 in 200 requests", "not measured", "-", "0", "no", DAY)
    assert COUNTED.cells(PUBLISHED) == expected


def test_a_row_of_made_up_results_compares_with_its_limit_at_its_size() -> None:
    """Of several sizes the one that the row names; the goal is the one of another figure."""
    expected = ("Time", "12.3 ms", "-", "-", "8 ms, the container", "≤ 5 ms behind the limit", "yes, 4.34 ms", DAY)
    assert TIMED.cells(PUBLISHED) == expected


def test_a_row_whose_goal_is_its_own_says_whether_it_was_reached() -> None:
    """With made-up results: the goal has the figure's unit."""
    row = replace(TIMED, goal=None, goal_is="")
    assert row.cells(PUBLISHED)[5:7] == ("≤ 10 ms", "no")


@pytest.mark.parametrize(
    "row", [replace(COUNTED, measurement="idle"), replace(COUNTED, what="no such"), replace(TIMED, size=7)]
)
def test_what_made_up_results_do_not_have_is_called_missing(row: Row) -> None:
    """No number and no verdict stands in a row without its figures."""
    missing = [cell for cell in row.cells(PUBLISHED)[1:] if cell not in ("-", DAY)]
    assert missing
    assert all("not measured" in cell for cell in missing)


def test_a_count_without_its_total_says_that_the_total_is_missing() -> None:
    """With made-up results that do not say how many requests there were."""
    partial = replace(MADE_UP, figures=[figure for figure in MADE_UP.figures if figure.what != "requests"])
    assert COUNTED.cells({"churn": partial})[1] == "2, requests not measured"


def test_a_short_made_up_measurement_is_marked_in_the_table_and_on_its_page() -> None:
    """A reader sees that less was done."""
    short = replace(MADE_UP, plan=json.loads(json.dumps(asdict(SHORT))))
    assert COUNTED.cells({"churn": short})[-1] == f"{DAY}, short"
    assert "with less of everything" in report.page(short)
    assert "in full" in report.page(MADE_UP)


def test_the_page_of_made_up_results_has_each_figure_but_details() -> None:
    """With its ends, how often it was measured, and the machine."""
    page = report.page(MADE_UP)
    assert "| lost | watch |  | 2 | 1 | 3 | 3 | 0 | no |" in page
    assert "| time | watch | 10 | 12.3 ms |  |  | 1 | ≤ 10 | no |" in page
    assert "- processor: an abacus" in page
    assert "why it was lost" not in page


def test_made_up_results_replace_only_what_is_between_their_marks() -> None:
    """The text around stays; a place without results says so; filling again changes nothing."""
    text = publish.filled(PAGE, PUBLISHED)
    assert text.startswith("Before\n<!-- summary -->\n| what | Dockmaster |")
    assert "Between\n<!-- churn -->\n![churn](performance/churn.svg)" in text
    assert "<!-- idle -->\nNot measured.\n<!-- /idle -->\nAfter\n" in text
    assert "old" not in text
    assert publish.filled(text, PUBLISHED) == text


@pytest.mark.parametrize("text", [PAGE.replace("churn", "other"), PAGE + PAGE])
def test_a_page_without_one_place_for_each_result_is_an_error(text: str) -> None:
    """Results are not left out, and not written twice."""
    with pytest.raises(ValueError, match="expected one"):
        publish.filled(text, PUBLISHED)


def test_the_published_pages_are_what_their_results_say() -> None:
    """Nobody edited a figure, and nobody forgot to write the pages."""
    published = publish.published()
    text = publish.PAGE.read_text()
    assert publish.filled(text, published) == text
    for name, results in published.items():
        assert (publish.FOLDER / f"{name}.md").read_text() == report.page(results)


def test_the_published_results_have_every_figure_of_the_first_table() -> None:
    """The table names figures as the measurements do."""
    cells = [cell for row in summary.table(publish.published()) for cell in row]
    assert not [cell for cell in cells if summary.MISSING in cell]
