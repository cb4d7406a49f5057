"""The overview picture keeps its texts in their boxes, whichever font draws them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

PICTURE = Path(__file__).parents[2] / "docs" / "overview.svg"
SVG = "{http://www.w3.org/2000/svg}"
WIDTH = 0.65
"""Of a character, in em: wide sans and monospace fonts take 0.6 on average, bold ones hardly more."""
ASCENT, DESCENT = 0.95, 0.25
MARGIN = 6.0


@dataclass(frozen=True)
class Area:
    """A rectangle of the picture, with the text that it is, if any."""

    left: float
    top: float
    right: float
    bottom: float
    text: str = ""

    def holds(self, other: Area, margin: float = 0) -> bool:
        """Whether the other one is inside, with so much room on the left and on the right."""
        return (
            self.left + margin <= other.left
            and other.right <= self.right - margin
            and self.top <= other.top
            and other.bottom <= self.bottom
        )

    def touches(self, other: Area) -> bool:
        """Whether they have a point in common."""
        return (
            self.left <= other.right
            and other.left <= self.right
            and self.top <= other.bottom
            and other.top <= self.bottom
        )


def elements(element: ElementTree.Element, inherited: dict[str, str]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each element's name, text and attributes, with what it inherits."""
    attributes = inherited | element.attrib
    yield element.tag.removeprefix(SVG), element.text or "", attributes
    for child in element:
        yield from elements(child, attributes)


ROOT = ElementTree.parse(PICTURE).getroot()
ALL = list(elements(ROOT, {}))


def rectangle(attributes: dict[str, str]) -> Area:
    """The area of a ``rect``."""
    x, y = float(attributes.get("x", 0)), float(attributes.get("y", 0))
    return Area(x, y, x + float(attributes["width"]), y + float(attributes["height"]))


def written(text: str, attributes: dict[str, str]) -> Area:
    """The area that a text may take."""
    x, y, size = (float(attributes[name]) for name in ("x", "y", "font-size"))
    width = len(text) * size * WIDTH
    left = {"start": x, "middle": x - width / 2, "end": x - width}[attributes.get("text-anchor", "start")]
    return Area(left, y - size * ASCENT, left + width, y + size * DESCENT, text)


RECTANGLES = [rectangle(attributes) for name, _, attributes in ALL if name == "rect"]
BACKGROUND, *FRAMES_AND_BOXES = RECTANGLES
FRAMES = [one for one in FRAMES_AND_BOXES if any(one is not other and one.holds(other) for other in FRAMES_AND_BOXES)]
BOXES = [one for one in FRAMES_AND_BOXES if one not in FRAMES]
TEXTS = [written(text, attributes) for name, text, attributes in ALL if name == "text"]
# A path's arrows: from point to point, along a row or a column.
LINES = [attributes["d"] for name, _, attributes in ALL if name == "path" and "marker-end" in attributes]


def line(path: str) -> Area:
    """The area of an arrow, a thin one."""
    found = re.fullmatch(r"M(\d+) (\d+)([HV])(\d+)", path)
    assert found, path
    x, y, end = float(found[1]), float(found[2]), float(found[4])
    to_x, to_y = (end, y) if found[3] == "H" else (x, end)
    return Area(min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y))


def test_the_picture_has_frames_boxes_arrows_and_texts() -> None:
    """The other tests look at something."""
    assert (len(FRAMES), len(BOXES)) == (2, 10)
    assert len(TEXTS) > 20
    assert len(LINES) > 10


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.text)
def test_a_text_fits_into_its_box_or_keeps_clear_of_all(text: Area) -> None:
    """Also a label: it is within its frame or outside of both, and crosses no arrow."""
    within = [box for box in BOXES if box.touches(text)] or [frame for frame in FRAMES if frame.touches(text)]
    assert all(area.holds(text, MARGIN) for area in within or [BACKGROUND])
    assert not [path for path in LINES if line(path).touches(text)]


def test_no_two_texts_touch() -> None:
    """Nor do labels that stand side by side."""
    assert not [(one.text, other.text) for one, other in combinations(TEXTS, 2) if one.touches(other)]


def test_any_machine_has_one_of_the_fonts() -> None:
    """The last of the list is a generic family."""
    assert ROOT.attrib["font-family"].endswith(", sans-serif")
