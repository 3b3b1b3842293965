"""The ledger as people read it: a calendar of signs, and windows in words."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from node.cli.shell.output import Column

if TYPE_CHECKING:
    from schema.coverage.gaps import Gap
    from schema.coverage.months import Month

LEGEND = (
    "= every day is proven   + what was asked for is, the rest never was   ~ is due: the proof "
    "has expired   ! has gaps   . never asked for; beside the sign, the age of the oldest proof"
)
_NEVER = "."
_SIGNS = {"proven": "=", "part": "+", "stale": "~", "gap": "!"}
_STYLES = {"=": "green", "+": "yellow", "~": "yellow", "!": "bold red", _NEVER: "dim"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS = (("y", timedelta(days=365)), ("w", timedelta(weeks=1)), ("d", timedelta(days=1)))

COLUMNS: tuple[Column | str, ...] = (
    "year",
    *(Column(key=name, styles=_STYLES) for name in _MONTHS),
)
"""A year is a row."""


def years(months: "Iterable[Month]", now: datetime) -> list[Mapping[str, object]]:
    """Return the rows of the calendar; `now` is what ages are counted from."""
    rows: dict[int, dict[str, object]] = {}
    for month in months:
        row = rows.setdefault(month.year, {"year": month.year, **dict.fromkeys(_MONTHS, _NEVER)})
        oldest = "" if month.oldest is None else f" {age(now - month.oldest)}"
        row[_MONTHS[month.month - 1]] = f"{_SIGNS[month.state]}{oldest}"
    return list(rows.values())


def age(since: timedelta) -> str:
    """Write an age in one unit, as whole as it is: 5h, 3d, 11w, 2y."""
    for unit, length in _UNITS:
        if since >= 2 * length:
            return f"{since // length}{unit}"
    return f"{max(since // timedelta(hours=1), 0)}h"


def window_of(gap: "Gap") -> str:
    """Write what a gap is about."""
    if gap.undated:
        text = "without a date"
    elif gap.first == gap.last and gap.first is not None:
        text = f"{gap.first}"
    else:
        text = f"{gap.first or '...'} to {gap.last or '...'}"
    if gap.start_time is not None or gap.end_time is not None:
        text += f" {gap.start_time or '00:00:00'} to {gap.end_time or '24:00:00'}"
    return f"{text}, {keys_of(gap.axes)}" if gap.axes else text


def keys_of(query: "Mapping[str, str]") -> str:
    """Write matching keys."""
    return ", ".join(f"{keyword} {value}" for keyword, value in query.items())
