"""The pictures of docs/finding.md: drawn from a ledger, well formed, and nothing lies outside."""

from datetime import date, datetime, time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from schema import FindWindow
from schema.coverage.gaps import gaps
from schema.coverage.ledger import Coverage
from schema.coverage.months import months
from schema.coverage.proof import DateQuestion, stretches
from tests.pictures.calendar import draw_calendar
from tests.pictures.windows import draw_windows

PICTURES = sorted((Path(__file__).parents[2] / "docs" / "pictures").glob("*.svg"))
NOON = datetime.fromisoformat("2024-03-01T12:00")
SVG = "{http://www.w3.org/2000/svg}"


def window(number, first, last=None, *, parent=None, times=None, proven=True, matches=7):
    """Return a row of the ledger; days as 2024-01-31, times as two of them."""
    start_time, end_time = (time.fromisoformat(one) for one in times) if times else (None, None)
    return FindWindow(
        id=number,
        parent_id=parent,
        start_date=date.fromisoformat(first),
        end_date=date.fromisoformat(last or first),
        start_time=start_time,
        end_time=end_time,
        undated=False,
        outcome="complete" if proven else "truncated",
        matches=matches,
        covered_on=NOON if proven else None,
    )


LEDGER = [
    window(1, "2024-01-01", "2024-01-31"),
    window(2, "2024-02-01", "2024-03-31", proven=False),
    window(3, "2024-02-01", "2024-02-01", parent=2, proven=False),
    window(4, "2024-02-01", parent=3, times=("00:00", "11:59"), proven=False),
    window(5, "2024-02-01", parent=3, times=("12:00", "23:59")),
    window(6, "2024-02-02", "2024-03-31", parent=2),
]


def parsed(text):
    """Return the root of a picture, all of whose boxes and words lie on its paper."""
    root = ET.fromstring(text)
    _, _, width, height = (float(one) for one in root.get("viewBox").split())
    assert root.find(f"{SVG}title").text
    assert root.find(f"{SVG}desc").text
    for one in root.iter():
        if one.tag in {f"{SVG}rect", f"{SVG}text"} and one.get("x") is not None:
            x, y = float(one.get("x")), float(one.get("y"))
            words = 0 if one.get("text-anchor") else 5 * len(one.text or "")
            assert 0 <= x <= x + float(one.get("width", words)) <= width, one.attrib
            assert 0 <= y <= y + float(one.get("height", 0)) <= height, one.attrib
    return root


def test_each_window_is_a_box_below_the_one_that_it_is_a_part_of():
    root = parsed(draw_windows(LEDGER, title="A < B", told="Each box."))
    boxes = {
        one.find(f"{SVG}title").text: one
        for one in root.iter(f"{SVG}rect")
        if one.find(f"{SVG}title") is not None
    }
    assert len(boxes) == len(LEDGER)
    assert [one.get("class") for one in boxes.values()].count("gap") == 1
    above = boxes["2024-02-01 to 2024-03-31: 7 (cut off, and so is a part of it)"]
    part = boxes["2024-02-02 to 2024-03-31: 7 (whole)"]
    assert float(part.get("y")) > float(above.get("y"))
    assert float(part.get("x")) > float(above.get("x"))
    wide, narrow = (float(one.get("width")) for one in (above, part))
    assert wide / narrow == pytest.approx(60 / 59, rel=0.01)


def test_each_day_has_the_age_of_its_proof_and_gaps_are_named():
    asked = [
        DateQuestion(
            id=row.id,
            start=row.start_date,
            end=row.end_date,
            asked_on=NOON,
            covered_on=row.covered_on,
            proven_on=row.covered_on,
            outcome=row.outcome,
            message="7 studies, and it answers no more than 7; and so on",
        )
        for row in LEDGER
        if row.start_time is None
    ]
    known = stretches(asked)
    coverage = Coverage(
        peer="pacs",
        query={},
        stretches=tuple(known),
        months=tuple(months(known)),
        gaps=tuple(gaps(known)),
        undated=None,
    )
    drawn = draw_calendar(coverage, as_of=NOON, title="Proof", told="Each box is a day.")
    root = parsed(drawn)
    days = {
        one.get("class"): one.get("d").count("M")
        for one in root.iter(f"{SVG}path")
        if one.get("class") != "rule"
    }
    assert days == {"day": 90, "gap": 1, "never": 366 - 91}
    assert "Gap: 2024-02-01: 7 studies, and it answers no more than 7<" in drawn


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_that_is_kept_can_be_read_and_is_small(path):
    assert path.stat().st_size < 60_000
    parsed(path.read_text(encoding="utf-8"))
    assert f"pictures/{path.name}" in (path.parents[1] / "finding.md").read_text(encoding="utf-8")
