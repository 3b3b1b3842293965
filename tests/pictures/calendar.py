"""How old the proof of each day is: a box for a day, a column for a week, a grid for a year."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta

from schema.coverage.ledger import Coverage
from tests.pictures.svg import MARGIN, Picture

COLOURS = {
    "day": ("#0a3069", "#a5d6ff"),
    "month": ("#218bff", "#388bfd"),
    "year": ("#80ccff", "#0c2d6b"),
    "gap": ("#cf222e", "#ff7b72"),
    "never": ("#eaeef2", "#2d333b"),
}
WORDS = {
    "day": "proven last night",
    "month": "within the last 30 days",
    "year": "within the last year",
    "gap": "a gap",
    "never": "never asked for",
}
CELL = 13
"""Of one day, in pixels, the space to the next one included."""
_LEFT, _BESIDE = MARGIN + 44, MARGIN + 44 + 54 * CELL + 16


def draw_calendar(coverage: Coverage, *, as_of: datetime, title: str, told: str) -> str:
    """Return the picture of what is known of a PACS, as of a moment, naive UTC.

    Parameters
    ----------
    title, told
        As of `Picture`.
    """
    days = _days(coverage, as_of)
    picture = Picture(title=title, told=told, colours=COLOURS)
    picture.text(MARGIN, 36, title, "head")
    picture.legend(62, WORDS.items())
    y = 100.0
    for year in range(min(days).year, max(days).year + 1):
        of_year = {day: known for day, known in days.items() if day.year == year}
        _draw_year(picture, y, year, of_year)
        y += 7 * CELL + 28
    for number, gap in enumerate(coverage.gaps):
        when = f"{gap.first}" if gap.first == gap.last else f"{gap.first} to {gap.last}"
        if gap.start_time is not None and gap.end_time is not None:
            first, last = f"{gap.start_time:%H:%M}", f"{gap.end_time:%H:%M}"
            when += f" {first}" if first == last else f" {first} to {last}"
        why = (gap.message or gap.outcome).partition(";")[0]
        picture.text(MARGIN, y + 4 + 20 * number, f"Gap: {when}: {why}")
    return picture.document()


def _draw_year(
    picture: Picture, top: float, year: int, days: dict[date, tuple[str, int | None]]
) -> None:
    first = date(year, 1, 1)
    places = defaultdict(list)
    for number in range((date(year, 12, 31) - first).days + 1):
        day = first + timedelta(days=number)
        week, weekday = divmod(number + first.weekday(), 7)
        x = _LEFT + week * CELL
        places[days.get(day, ("never", None))[0]].append((x, top + weekday * CELL))
        if day.day == 1:
            picture.text(x, top - 5, f"{day:%b}", "pale small")
    picture.text(MARGIN, top + 3.5 * CELL + 4, str(year), "head")
    for kind, corners in places.items():
        picture.boxes(corners, CELL - 2, kind)
    kinds = Counter(kind for kind, _ in days.values())
    ages = [age for _, age in days.values() if age is not None]
    said = [f"{len(ages)} of {len(days)} days proven"]
    if ages:
        said.append(f"oldest proof: {max(ages)} days")
    if gaps := kinds["gap"]:
        said.append(f"{gaps} day with a gap" if gaps == 1 else f"{gaps} days with gaps")
    for number, words in enumerate(said):
        picture.text(_BESIDE, top + 2 * CELL + 20 * number, words)


def _days(coverage: Coverage, as_of: datetime) -> dict[date, tuple[str, int | None]]:
    """Return of each day its fill, and how many days old its proof is."""
    days: dict[date, tuple[str, int | None]] = {}
    for stretch in coverage.stretches:
        if stretch.first is None or stretch.last is None:
            continue
        known: tuple[str, int | None] = ("gap", None)
        if stretch.is_proven and stretch.proven_on is not None:
            age = (as_of - stretch.proven_on).days
            known = ("day" if age < 1 else "month" if age <= 30 else "year", age)
        for number in range((stretch.last - stretch.first).days + 1):
            days[stretch.first + timedelta(days=number)] = known
    return days
