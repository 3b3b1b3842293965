"""How a find cut the dates into windows: each one a box as wide as its range, its parts below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

from schema import FindWindow
from tests.pictures.svg import MARGIN, Picture

COLOURS = {
    "whole": ("#0969da", "#58a6ff"),
    "split": ("#9a6700", "#d29922"),
    "open": ("#a0586a", "#c98a9a"),
    "gap": ("#cf222e", "#ff7b72"),
}
WORDS = {
    "whole": "whole",
    "split": "cut off, asked for in parts: proven",
    "open": "cut off, and so is a part of it",
    "gap": "a gap: cannot be split further",
}
ROW = 24
"""Of one depth, in pixels, the space to the next one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A window in the tree: how deep it lies in its panel, and what came of it."""

    row: FindWindow
    depth: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A part of the paper with a scale of its own."""

    left: float
    top: float
    width: float
    place: Callable[[FindWindow], tuple[float, float]]
    """Where a window begins and ends, from 0 to 1."""


def draw_windows(rows: Sequence[FindWindow], *, title: str, told: str) -> str:
    """Return the picture of one find.

    Parameters
    ----------
    rows
        Its windows, in the order of their questions; those by further keys are left out.
    title, told
        As of `Picture`.
    """
    picture = Picture(title=title, told=told, colours=COLOURS)
    of_dates = list(_placed(rows, None))
    picture.text(MARGIN, 36, title, "head")
    picture.legend(62, ((kind, words) for kind, words in WORDS.items()))
    first = min(one.row.start_date or date.max for one in of_dates)
    last = max(one.row.end_date or date.min for one in of_dates)
    panel = Panel(
        left=MARGIN, top=112, width=picture.width - 2 * MARGIN, place=_of_dates(first, last)
    )
    for day, words in _months(first, last):
        x = panel.left + panel.width * (day - first).days / ((last - first).days + 1)
        picture.line(x, panel.top - 2, x, panel.top + ROW * _depth(of_dates))
        picture.text(x + 2, panel.top - 6, words, "pale small")
        if day.month == 1 or day == first:
            picture.text(x + 2, panel.top - 20, str(day.year), "pale small")
    _draw(picture, panel, of_dates)
    days = _cut_days(of_dates, rows)
    if not days:
        return picture.document()
    gutter = 28.0
    top, width = picture.height + 76, (panel.width - gutter * (len(days) - 1)) / len(days)
    for number, (day, above) in enumerate(days):
        of_times = list(_placed(rows, day))
        left = MARGIN + number * (width + gutter)
        where = panel.left + panel.width * (above[0] + above[1]) / 2
        picture.line(where, panel.top + ROW * (above[2] + 1) - 2, left + width / 2, top - 44)
        picture.text(left, top - 24, f"{day}: the times of this day", "head")
        for hour in range(0, 24, 6):
            x = left + width * hour / 24
            picture.line(x, top - 2, x, top + ROW * _depth(of_times))
            picture.text(x + 2, top - 6, f"{hour:02d}:00", "pale small")
        _draw(picture, Panel(left=left, top=top, width=width, place=_of_times), of_times)
    return picture.document()


def _draw(picture: Picture, panel: Panel, windows: Sequence[Placed]) -> None:
    for one in sorted(windows, key=lambda one: one.kind == "gap"):
        begin, end = panel.place(one.row)
        x, wide = panel.left + panel.width * begin, panel.width * (end - begin)
        y, matches = panel.top + ROW * one.depth, str(one.row.matches or 0)
        if one.kind == "gap":
            wide = max(wide, 8)
            picture.text(x + wide + 6, y + 15, f"the gap: {_when(one.row)}")
        picture.box(x, y, max(wide - 1, 1.5), ROW - 3, one.kind, _said(one))
        if wide > 7 * len(matches) + 3:
            picture.text(x + (wide - 1) / 2, y + 15, matches, "on", anchor="middle")


def _placed(rows: Sequence[FindWindow], day: date | None) -> Iterator[Placed]:
    """Yield the windows of dates, or those of the times of one day, with their depth there."""
    parents = {row.parent_id for row in rows if not row.axes}
    newest = {_box(row): row.id for row in rows}  # one that was asked once more has one box
    boxes = {row.id: newest[_box(row)] for row in rows}
    parents = {boxes.get(one or 0) for one in parents}
    depths: dict[int, int] = {}
    for row in rows:
        timed = row.start_time is not None
        if row.axes or row.undated or timed != (day is not None):
            continue
        if day is not None and row.start_date != day:
            continue
        depths[row.id] = depths.get(row.parent_id or 0, -1) + 1
        if boxes[row.id] != row.id:
            continue
        yield Placed(row=row, depth=depths[row.id], kind=_kind(row, row.id in parents))


def _box(row: FindWindow) -> tuple[object, ...]:
    return row.start_date, row.end_date, row.start_time, row.end_time, str(row.axes), row.undated


def _kind(row: FindWindow, is_split: bool) -> str:
    if row.covered_on is None:
        return "open" if is_split else "gap"
    return "split" if is_split else "whole"


def _cut_days(
    windows: Sequence[Placed], rows: Sequence[FindWindow]
) -> list[tuple[date, tuple[float, float, int]]]:
    """Return the days that were cut into times, and where they are in the panel of dates."""
    days = {row.start_date for row in rows if row.start_time is not None and not row.axes}
    first = min(one.row.start_date or date.max for one in windows)
    last = max(one.row.end_date or date.min for one in windows)
    place = _of_dates(first, last)
    return [
        (one.row.start_date, (*place(one.row), one.depth))
        for one in sorted(windows, key=lambda one: one.row.start_date or date.min)
        if one.row.start_date is not None
        and one.row.start_date == one.row.end_date
        and one.row.start_date in days
    ]


def _of_dates(first: date, last: date) -> Callable[[FindWindow], tuple[float, float]]:
    days = (last - first).days + 1

    def place(row: FindWindow) -> tuple[float, float]:
        start, end = row.start_date or first, row.end_date or last
        return (start - first).days / days, ((end - first).days + 1) / days

    return place


def _of_times(row: FindWindow) -> tuple[float, float]:
    start, end = row.start_time or time.min, row.end_time or time.max
    return (start.hour * 60 + start.minute) / 1440, (end.hour * 60 + end.minute + 1) / 1440


def _months(first: date, last: date) -> Iterator[tuple[date, str]]:
    """Yield the first day of each month, with its name."""
    day = first.replace(day=1)
    while day <= last:
        if day >= first:
            yield day, f"{day:%b}"
        day = (day + timedelta(days=32)).replace(day=1)


def _depth(windows: Sequence[Placed]) -> int:
    return max((one.depth for one in windows), default=0) + 1


def _said(one: Placed) -> str:
    return f"{_when(one.row)}: {one.row.matches or 0} ({WORDS[one.kind]})"


def _when(row: FindWindow) -> str:
    if row.start_time is None or row.end_time is None:
        return f"{row.start_date}" + (f" to {row.end_date}" * (row.start_date != row.end_date))
    first, last = f"{row.start_time:%H:%M}", f"{row.end_time:%H:%M}"
    return f"{row.start_date} {first}" + (f" to {last}" * (first != last))
