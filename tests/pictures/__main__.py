"""Draw the pictures of docs/finding.md anew: `python -m tests.pictures`."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.pictures.calendar import draw_calendar
from tests.pictures.ledgers import CAP, NIGHTS, coverage_of_nights, windows_of_a_find
from tests.pictures.windows import draw_windows

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"


def main() -> None:
    """Have the finds ask, and write what they left."""
    logging.disable(logging.CRITICAL)
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dicom-node-pictures-") as name:
        (first := Path(name) / "windows").mkdir()
        (second := Path(name) / "nights").mkdir()
        windows = asyncio.run(windows_of_a_find(first))
        coverage = asyncio.run(coverage_of_nights(second))
    asked, split = len(windows), len({row.parent_id for row in windows} - {None})
    found = sum(row.new or 0 for row in windows)
    (FOLDER / "windows.svg").write_text(
        draw_windows(
            windows,
            title=f"A find of two years, of a PACS that answers {CAP} studies at most",
            told=f"Each box is a question for a range of dates, with the number of studies that "
            f"came; the parts of a range are below it. {asked} questions, of which {split} were "
            f"asked again in parts, brought {found} studies. The windows widen from a month to "
            "four until the cap is met, and keep below it from then on. One day with 400 studies "
            "is cut into times, and proven. On another, 300 studies have the same minute: a gap.",
        ),
        encoding="utf-8",
    )
    as_of = NIGHTS[-1].replace(tzinfo=None) + timedelta(hours=6)
    gaps = len(coverage.gaps)
    (FOLDER / "proof.svg").write_text(
        draw_calendar(
            coverage,
            as_of=as_of,
            title=f"How old the proof of each day is, as of the morning of {as_of:%Y-%m-%d}",
            told="Each box is a day, each column a week, each grid a year. The last 90 days were "
            "proven last night, the last three years within 30 days, what is older within a "
            f"year; days on which studies came late were asked for again sooner. {gaps} gap is "
            "left, which is named below.",
        ),
        encoding="utf-8",
    )
    for path in sorted(FOLDER.glob("*.svg")):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
