"""The ledger as people read it: a calendar of signs, and windows in words."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from node.cli.shell.output import Column

if TYPE_CHECKING:
    from schema import FindWindow
    from schema.coverage.asked import AskedDates
    from schema.coverage.gaps import Gap
    from schema.coverage.months import Month
    from schema.reports import CycleSummary

LEGEND = (
    "= every day is proven   + what was asked for is, the rest never was   ~ is due: the proof "
    "has expired   ! has gaps   . never asked for; beside the sign, the age of the oldest proof"
)
_NEVER = "."
_SIGNS = {"proven": "=", "part": "+", "stale": "~", "gap": "!"}
_STYLES = {"=": "green", "+": "yellow", "~": "yellow", "!": "bold red", _NEVER: "dim"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS = (("y", timedelta(days=365)), ("w", timedelta(weeks=1)), ("d", timedelta(days=1)))

_LONGEST = 100
"""Characters of a question's keys, and of what a find covers, that are shown where there is more to
show: lists of UIDs are longer, and so are those of many dates."""

COLUMNS: tuple[Column | str, ...] = (
    "year",
    *(Column(key=name, styles=_STYLES) for name in _MONTHS),
)
"""A year is a row."""


def years(
    months: "Iterable[Month]", now: datetime, *, named: tuple[date, date] | None = None
) -> list[Mapping[str, object]]:
    """Return the rows of the calendar, of a month at least.

    Parameters
    ----------
    now
        What ages are counted from.
    named
        Dates that it is to show, known or not: years of them before and behind all that is known
        are one row on each side.
    """
    known = list(months)
    first, last = known[0].year, known[-1].year
    rows = {year: _row(year) for year in range(first, last + 1)}
    for month in known:
        row = rows[month.year]
        oldest = "" if month.oldest is None else f" {age(now - month.oldest)}"
        row[_MONTHS[month.month - 1]] = f"{_SIGNS[month.state]}{oldest}"
    start, end = (first, last) if named is None else (named[0].year, named[1].year)
    return [*_never_asked(start, first - 1), *rows.values(), *_never_asked(last + 1, end)]


def _never_asked(first: int, last: int) -> list[Mapping[str, object]]:
    """Return the row of years for which nobody has asked, if there are any."""
    if first > last:
        return []
    return [_row(first if first == last else f"{first} to {last}")]


def _row(year: object) -> dict[str, object]:
    return {"year": year, **dict.fromkeys(_MONTHS, _NEVER)}


def age(since: timedelta) -> str:
    """Write an age in one unit, as whole as it is: 5h, 3d, 11w, 2y."""
    for unit, length in _UNITS:
        if since >= 2 * length:
            return f"{since // length}{unit}"
    return f"{max(since // timedelta(hours=1), 0)}h"


def utc(moment: datetime) -> str:
    """Write a moment, naive UTC."""
    return f"{minute(moment)} UTC"


def minute(moment: datetime) -> str:
    """Write a moment for a column that says that it is UTC."""
    return moment.isoformat(sep=" ", timespec="minutes")


def window_of(gap: "Gap") -> str:
    """Write what a gap is about."""
    from node.dicom.query import Window

    window = Window(
        start=gap.first,
        end=gap.last,
        first=gap.start_time,
        last=gap.end_time,
        undated=gap.undated,
    )
    return f"{window}, {keys_of(gap.axes)}" if gap.axes else f"{window}"


def dates_of(asked: "AskedDates") -> str:
    """Write what a find is to cover with the same keys."""
    from node.dicom.query import Window

    named = [f"{Window(start=first, end=last)}" for first, last in asked.dates]
    if asked.undated:
        named.append(f"{Window(undated=True)}")
    only = f", only {keys_of(asked.keys)}" if asked.keys else ""
    return f"{', '.join(named)}{only}"


def kind_of(cycle: "CycleSummary") -> str:
    """Write what a cycle does: a find is one of dates, unless it says that it is not."""
    of_single_studies = cycle.kind == "find" and cycle.asked is None
    return f"{cycle.kind} of single studies" if of_single_studies else cycle.kind


def asked_by(cycle: "CycleSummary") -> str:
    """Write what a find is to cover, in short."""
    from schema.coverage.asked import asked_of

    if cycle.kind != "find":
        return ""
    said = "; ".join(map(dates_of, asked_of(cycle.asked) or ())) or "single studies"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def keys_of(query: "Mapping[str, str]") -> str:
    """Write matching keys."""
    return ", ".join(f"{keyword} {value}" for keyword, value in query.items())


def question_of(one: "FindWindow") -> str:
    """Write what a question was about."""
    from schema.coverage.gaps import Gap

    keys = keys_of({key: str(value) for key, value in (one.query or {}).items()})
    named = keys if len(keys) <= _LONGEST else f"{keys[:_LONGEST]}…"
    if named and one.start_date is None and one.end_date is None and not one.undated:
        return named
    window = window_of(
        Gap(
            first=one.start_date,
            last=one.end_date,
            start_time=one.start_time,
            end_time=one.end_time,
            axes=one.axes,
            undated=one.undated,
            outcome=one.outcome,
        )
    )
    return f"{window}, {named}" if named else window
