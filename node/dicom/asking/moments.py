"""Dates and times as people write them, made ranges as DICOM has them (PS3.4 C.2.2.2.5)."""

import calendar
import re
from collections.abc import Callable
from datetime import date, timedelta

from node.errors import UsageError

_DATES = (
    "2024, 2024-03, 2024-03-01, 20240301, today, yesterday, -7d or -2w; 2024-03- for from then on, "
    "-2024-03 for until then, 2024-03-01..2024-03-31 for a range"
)
_TIMES = "08, 08:30, 08:30:15 or 083015; 08:00- for from then on, 08:00-12:00 for a range"
_MOMENTS = f"2024-03-01T08:30, or as dates are written: {_DATES}"

_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_YEAR = re.compile(r"\d{4}")
_AGO = re.compile(r"-(\d{1,5})([dw])")
_PLAIN = re.compile(r"(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})")
_CLOCK = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?")
_CLOCKS = re.compile(r"([\d:.]+)-([\d:.]+)")
_MOMENT = re.compile(r"(.+)[T ](\d.*)")
_DT = re.compile(r"\d{9,14}(\.\d{1,6})?([+-]\d{4})?")

_Span = tuple[str, str]
"""The first and the last of what a text stands for, as DICOM writes them."""


def date_range(text: str, today: date) -> str:
    """Return a DA that matches a date, or a range of them; "" for any.

    Raises
    ------
    UsageError
        It is none, or ends before it begins.
    """
    return _range(text, lambda part: _days(part, today), _PLAIN, _DATES)


def time_range(text: str) -> str:
    """Return a TM that matches a time of day, or a range; errors as `date_range`.

    What is left out of a single time is all of it; a range ends at the moment that is written.
    """
    return _range(text, _clock, _CLOCKS, _TIMES)


def moment_range(text: str, today: date) -> str:
    """Return a DT that matches a moment, a date, or a range; errors as `date_range`."""
    if _DT.fullmatch(text):
        return text

    def span(part: str) -> _Span | None:
        if found := _MOMENT.fullmatch(part):
            day, clock = _days(found[1], today), _clock(found[2])
            if day is None or clock is None or day[0] != day[1]:
                return None
            return day[0] + clock[0], day[0] + clock[1]
        return _days(part, today)

    return _range(text, span, _PLAIN, _MOMENTS)


def _range(
    text: str, span: Callable[[str], _Span | None], plain: re.Pattern[str], ways: str
) -> str:
    given = text.strip()
    if not given.strip("*"):
        return ""
    whole = span(given)
    if whole is not None:
        first, last = whole
        return first if first == last else f"{first}-{last}"
    low, high = _ends(given, plain)
    ends = (span(low) if low else ("", ""), span(high) if high else ("", ""))
    if ends[0] is None or ends[1] is None or not (low or high):
        raise UsageError(f"{text!r} is none of the ways to write it: {ways}")
    first, last = ends[0][0], ends[1][1 if span is not _clock else 0]
    if first and last and last < first[: len(last)]:
        raise UsageError(f"{text!r} ends before it begins")
    return f"{first}-{last}"


def _ends(text: str, plain: re.Pattern[str]) -> tuple[str, str]:
    """Split a range; a part that is no more than a sign is an open end."""
    if ".." in text:
        low, _, high = text.partition("..")
        return low.strip(), high.strip()
    if found := plain.fullmatch(text):
        return found[1], found[2]
    if text.endswith("-"):
        return text[:-1].strip(), ""
    if text.startswith("-"):
        return "", text[1:].strip()
    return "", ""


def _days(text: str, today: date) -> _Span | None:
    words = {"today": 0, "yesterday": 1}
    try:
        if text.lower() in words:
            day = today - timedelta(days=words[text.lower()])
            return _written(day, day)
        if found := _AGO.fullmatch(text):
            days = int(found[1]) * (7 if found[2] == "w" else 1)
            return _written(today - timedelta(days=days), today)
        if found := _DAY.fullmatch(text):
            day = date(int(found[1]), int(found[2]), int(found[3]))
            return _written(day, day)
        if found := _MONTH.fullmatch(text):
            year, month = int(found[1]), int(found[2])
            last = calendar.monthrange(year, month)[1]
            return _written(date(year, month, 1), date(year, month, last))
        if _YEAR.fullmatch(text):
            return _written(date(int(text), 1, 1), date(int(text), 12, 31))
    except (ValueError, OverflowError, calendar.IllegalMonthError):
        pass
    return None


def _written(first: date, last: date) -> _Span:
    # strftime writes a year before 1000 with less than the four digits of a DA (PS3.5 6.2)
    begin, end = (f"{day:%Y%m%d}".rjust(8, "0") for day in (first, last))
    return begin, end


def _clock(text: str) -> _Span | None:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    if second is not None:
        exact = f"{hour}{minute}{second}{fraction or ''}"
        return exact, exact
    return f"{hour}{minute or '00'}00", f"{hour}{minute or '59'}59.999999"
