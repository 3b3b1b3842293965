"""Days on which the hours of another day of the week hold."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from node.config.hours.clocks import Weekday

_RULE = "a holiday is written 2026-12-24, or 12-25 for that of every year"
_YEARLY = re.compile(r"(\d{2})-(\d{2})")
_LEAP_YEAR = 2024


@dataclass(frozen=True, slots=True, kw_only=True)
class Holidays:
    """Days that are like another one.

    Attributes
    ----------
    dates
        ``2026-12-24``, or ``12-25`` for that of every year.
    like
        The day of the week whose hours hold then.
    """

    dates: frozenset[str] = frozenset()
    like: Weekday = Weekday.SUNDAY

    def weekday(self, day: date) -> int:
        """Return the number of the day of the week that a day is like; Monday is 0."""
        if self.dates:
            written = day.isoformat()
            if written in self.dates or written[5:] in self.dates:
                return self.like.number
        return day.weekday()


def parse_holidays(items: Iterable[object]) -> tuple[str, ...]:
    """Read holidays: ``2026-12-24`` and ``12-25``, as text or as what YAML makes of it.

    Returns
    -------
    tuple of str
        In the order of `items`, each of them once.

    Raises
    ------
    ValueError
        One of them is no day; the message repeats it.
    """
    return tuple(dict.fromkeys(_holiday(item) for item in items))


def _holiday(item: object) -> str:
    if isinstance(item, datetime):
        return item.date().isoformat()
    if isinstance(item, date):
        return item.isoformat()
    text = item.strip() if isinstance(item, str) else ""
    try:
        if match := _YEARLY.fullmatch(text):
            return f"{date(_LEAP_YEAR, int(match[1]), int(match[2])):%m-%d}"
        if len(text) == len("2026-12-24"):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError(f"{_RULE}; {item!r} is neither")
