"""Times of day, days of the week and time zones, as people write them."""

import re
from collections.abc import Iterable
from datetime import time
from enum import StrEnum
from zoneinfo import ZoneInfo

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::00)?")
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"

    @property
    def number(self) -> int:
        """Its number as `datetime.date.weekday` has it: Monday is 0."""
        return _NUMBERS[self]


_NUMBERS = {day: number for number, day in enumerate(Weekday)}
_NAMES = {
    **{day.value: day.number for day in Weekday},
    **{name: number for number, name in enumerate(_LONG)},
}
EVERY_DAY = frozenset(range(7))


def parse_clock(value: object) -> time:
    """Read a time of day: ``20:00``, ``20:00:00``, ``24:00``, or what YAML makes of them.

    YAML 1.1 reads an unquoted ``20:00`` as the number 1200, in base 60, and ``20:00:00`` as
    72000. The first counts minutes; with seconds the number is at least 3600.

    Raises
    ------
    ValueError
        It is no time of day, or not a whole minute.
    """
    hour, minute = -1, -1
    if isinstance(value, str) and (match := _CLOCK.fullmatch(value.strip())):
        hour, minute = int(match[1]), int(match[2])
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        minutes, rest = (value, 0) if value <= 24 * 60 else divmod(value, 60)
        hour, minute = divmod(minutes, 60) if rest == 0 else (-1, -1)
    if (hour, minute) == (24, 0):
        return time(0)
    if not (0 <= hour < 24 and 0 <= minute < 60):
        raise ValueError(f'{value!r} is no time of day; write it as "20:00"')
    return time(hour, minute)


def parse_weekdays(text: str) -> frozenset[int]:
    """Read one day of the week, or a range of them: ``mon``, ``mon-fri``, ``fri-mon``.

    Returns
    -------
    frozenset of int
        Their numbers; Monday is 0.

    Raises
    ------
    ValueError
        It names none.
    """
    first, dash, last = (part.strip().lower() for part in text.partition("-"))
    for name in (first, last) if dash else (first,):
        if name not in _NAMES:
            raise ValueError(f"{name!r} is no day of the week; they are {', '.join(Weekday)}")
    begin, end = _NAMES[first], _NAMES[last if dash else first]
    return frozenset((begin + ahead) % 7 for ahead in range((end - begin) % 7 + 1))


def weekdays_in_words(days: Iterable[int]) -> str:
    """Write days of the week as they are read: ``mon-fri``, ``mon, wed``."""
    names, wanted, parts = list(Weekday), set(days), list[str]()
    for day in sorted(wanted):
        if day - 1 in wanted:
            continue
        last = day
        while last + 1 in wanted:
            last += 1
        parts.append(names[day] if last == day else f"{names[day]}-{names[last]}")
    return ", ".join(parts)


def parse_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises
    ------
    ValueError
        None has that name.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(
            f"no time zone is named {name!r}; the IANA names are known, such as Europe/Paris or UTC"
        ) from None
