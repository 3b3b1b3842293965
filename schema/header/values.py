"""Text values of DICOM turned into Python values: dates, times, ages, clean text and keys.

Headers in the field hold anything. Every function here takes whatever is there and
answers with a value or with "nothing"; none of them raises. What cannot be understood is
left to `images.meta`, which keeps the value as it was written.
"""

import hashlib
import re
from datetime import date, datetime, time, timedelta, timezone

MAX_KEY = 300
"""Characters of a text that an index holds; an entry of PostgreSQL's B-tree ends at 2,704 bytes.

Two of them, of four bytes a character, still fit into one entry.
"""

MAX_PATH = 2600
"""Bytes of a path that an index holds, alone in its entry."""

NO_AGE = -1
"""The age of a patient whose age is absent or not understood."""

_DATE = re.compile(r"([0-9]{4})(?:([0-9]{2})([0-9]{2})?)?")
_FULL_DATE = re.compile(r"[0-9]{8}.")
_ACR_DATE = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_CLOCK = r"([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.([0-9]+))?)?)?"
_DATETIME = re.compile(
    rf"([0-9]{{4}})(?:([0-9]{{2}})(?:([0-9]{{2}})(?:{_CLOCK})?)?)?([+-][0-9]{{4}})?"
)
_TIME = re.compile(_CLOCK)
_ACR_TIME = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?")
_FRACTION = re.compile(r"\.([0-9]{1,6})")
_AGE = re.compile(r"([0-9]{3})([DWMY])")
_UNITS_PER_YEAR = {"D": 365, "W": 52, "M": 12, "Y": 1}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_PADDING = " \x00"

_MIN_OFFSET = timedelta(hours=-12)
_MAX_OFFSET = timedelta(hours=14)


def clean_text(text: str) -> str:
    r"""Return the text with the characters replaced that no database column can hold.

    PostgreSQL refuses NUL in ``text`` and ``\u0000`` in ``jsonb``, and neither database
    takes a surrogate that stands alone. Each becomes U+FFFD, the replacement character.
    """
    return _UNSTORABLE.sub("\ufffd", text)


def clean_or_none(text: str | None) -> str | None:
    """Return `clean_text` of a text, and None where there is none."""
    return None if text is None else clean_text(text)


def key_of(value: str) -> str:
    """Return a text that fits into an index; a longer one is told apart by its digest."""
    return value if len(value) <= MAX_KEY else _cut(value)


def path_key(path: str) -> str:
    """Return a path that fits into an index; a longer one is told apart by its digest."""
    return path if len(path.encode("utf-8", "surrogatepass")) <= MAX_PATH else _cut(path)


def _cut(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[: MAX_KEY - 65]}~{digest}"


def parse_date(text: object) -> date | None:
    """Return the date of a DA value (PS3.5 section 6.2), or None when it is not one.

    A date without day or month (``202001``, ``2020``) is the first one of that period; the
    form of the ACR-NEMA standard (``2020.01.02``) and the date of a full DT value are taken
    as well.
    """
    if not isinstance(text, str):
        return None
    text = text.strip(_PADDING)
    match = _DATE.fullmatch(text) or _ACR_DATE.fullmatch(text)
    if match is None:
        # eight digits: the date has to be all there before an offset may follow
        when = parse_datetime(text) if _FULL_DATE.match(text) else None
        return None if when is None else when.date()
    year, month, day = match.groups()
    try:
        return date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None


def parse_datetime(text: object, *, aware: bool = False) -> datetime | None:
    """Return the point in time of a DT or DA value (PS3.5 section 6.2), or None.

    Parameters
    ----------
    text
        The value. Parts that were left out at its end count as the lowest there is.
    aware
        True keeps a written offset from UTC as the result's `tzinfo`. Otherwise the result
        is always naive, the clock as it stood at the scanner: what the columns hold, and
        what values without an offset mean.
    """
    if not isinstance(text, str):
        return None
    text = text.strip(_PADDING)
    match = _DATETIME.fullmatch(text)
    if match is None:
        match = _ACR_DATE.fullmatch(text)
        if match is None:
            return None
        day = parse_date(text)
        return None if day is None else datetime.combine(day, time())
    year, month, day_of_month, hour, minute, second, fraction, offset = match.groups()
    try:
        zone = None if offset is None else _offset(offset)
        return datetime(
            int(year),
            int(month or 1),
            int(day_of_month or 1),
            int(hour or 0),
            int(minute or 0),
            _second(second),
            _microsecond(fraction),
            tzinfo=zone if aware else None,
        )
    except ValueError:
        return None


def parse_time(text: object) -> time | None:
    """Return the time of a TM value (PS3.5 section 6.2), or None when it is not one.

    Minutes and seconds may be left out. A leap second counts as the second before it; the
    form of the ACR-NEMA standard (``04:58:12``) is taken, and a fraction alone
    (``.000123``) counts from midnight.
    """
    if not isinstance(text, str):
        return None
    text = text.strip(_PADDING)
    if fraction_only := _FRACTION.fullmatch(text):
        return time(0, 0, 0, _microsecond(fraction_only[1]))
    match = _TIME.fullmatch(text) or _ACR_TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        return time(int(hour), int(minute or 0), _second(second), _microsecond(fraction))
    except ValueError:
        return None


def parse_age(text: object) -> int:
    """Return the age of an AS value (PS3.5 section 6.2) in whole years, or `NO_AGE`.

    Days count 365, weeks 52 and months 12 to the year.
    """
    match = _AGE.fullmatch(text.strip(_PADDING)) if isinstance(text, str) else None
    return NO_AGE if match is None else int(match[1]) // _UNITS_PER_YEAR[match[2]]


def _second(text: str | None) -> int:
    second = int(text or 0)
    return 59 if second == 60 else second  # PS3.5 allows a leap second; Python does not


def _microsecond(fraction: str | None) -> int:
    return int(fraction[:6].ljust(6, "0")) if fraction else 0


def _offset(text: str) -> timezone:
    """Return the zone of ``&ZZXX``; ValueError outside of what the standard allows."""
    hours, minutes = int(text[1:3]), int(text[3:])
    distance = timedelta(hours=hours, minutes=minutes)
    offset = -distance if text[0] == "-" else distance
    if minutes > 59 or not _MIN_OFFSET <= offset <= _MAX_OFFSET:
        raise ValueError(text)
    return timezone(offset)
