"""Attribute matching of C-FIND (PS3.4 C.2.2.2): one key against the values of one attribute.

Single value, list of UID, universal, wildcard and range matching. Everything is text, as it
stands in the identifier; the value representation says how to compare.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ctypes import c_float
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import zip_longest

from pydicom.datadict import dictionary_VR

from node.dicom.querying.levels import TAGS, HeldAttributes
from node.dicom.querying.wildcards import wildcards

WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""Where * and ? are wildcards (PS3.4 C.2.2.2.4); elsewhere they are ordinary characters."""

NUMBER_VRS = frozenset({"IS", "DS", "US", "UL", "SS", "SL", "FL", "FD", "SV", "UV"})

_DAY = timedelta(days=1)


def matches(vr: str, key: Sequence[str], values: Sequence[str]) -> bool:
    """Tell whether an attribute's values match a key's.

    Parameters
    ----------
    vr
        The attribute's value representation (PS3.5 6.2).
    key
        The key's values; none, or a single empty one, is universal matching (C.2.2.2.3). More
        than one is list of UID matching (C.2.2.2.2), also granted to other attributes, such as
        Modalities in Study.
    values
        The attribute's values. One match is enough (C.2.2.2).
    """
    wanted = [text for text in (text.strip(" \0") for text in key) if text]
    if not wanted:
        return True
    if any(is_universal(vr, text) for text in wanted):
        return True
    return any(_matches_one(vr, text, value.strip(" \0")) for text in wanted for value in values)


def is_universal(vr: str, text: str) -> bool:
    """Tell whether a key's value matches whatever there is, as nothing does.

    So does a lone ``*``, which also matches what has no value (C.2.2.2.4), and a name's component
    groups that are all empty or that.
    """
    return vr in WILDCARD_VRS and not text.strip("*=" if vr == "PN" else "*")


def matches_all(keys: Mapping[str, Sequence[str]], entity: HeldAttributes) -> bool:
    """Tell whether an entity has what each key asks for."""
    return all(
        matches(dictionary_VR(TAGS[keyword]), key, entity.get(keyword, ()))
        for keyword, key in keys.items()
    )


def _matches_one(vr: str, key: str, value: str) -> bool:
    if not value:
        return False
    if vr in ("DA", "TM", "DT"):
        return _matches_time(vr, key, value)
    if vr == "PN":
        return _matches_name(key, value)
    if vr in NUMBER_VRS:
        return _number(vr, key) == _number(vr, value)
    if vr in WILDCARD_VRS and ("*" in key or "?" in key):
        return wildcards(key).matches(value)
    return key == value


def _number(vr: str, text: str) -> float | str:
    """Return a number: integers are exact, and one of 32 bits is as near as those can be."""
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return c_float(float(text)).value if vr == "FL" else float(text)
    return text


def _matches_name(key: str, value: str) -> bool:
    """Match a person's name: case does not count, nor do delimiters at the end (PS3.5 6.2.1).

    A key of one component group matches any of the value's groups, so that a name is found by
    its alphabetic, its ideographic and its phonetic form. `DOE^*` is also somebody of whom no more
    than `DOE` is known: that is `DOE^` as well. Of a key of several groups each one that is not
    empty matches the same group of the value: `=山田*` is an ideographic form.
    """
    wanted, whole = _name(key), _name(value)
    groups = whole.split("=")
    if "=" not in wanted:
        return any(_is_like(wanted, one) for one in (whole, *groups))
    return _is_like(wanted, whole) or all(
        not asked.strip("*") or _is_like(asked, group)
        for asked, group in zip_longest(wanted.split("="), groups, fillvalue="")
    )


def _is_like(wanted: str, name: str) -> bool:
    patterns = {wanted, _ANY_COMPONENTS.sub("", wanted) or wanted}
    return any(wildcards(pattern).matches(name) for pattern in patterns)


_ANY_COMPONENTS = re.compile(r"(?:\^\**)+$")
"""Components at the end of a key that may be anything."""


def _name(text: str) -> str:
    groups = (group.rstrip("^ ") for group in fold(text).split("="))
    return "=".join(groups).rstrip("=")


def fold(text: str) -> str:
    """Return a name as it is compared, in small letters: each character by itself, and one still.

    None beyond ASCII becomes one of ASCII, as the Kelvin sign would: so a database that knows the
    cases of ASCII only leaves nothing out. The sigma at the end of a word is a sigma.
    """
    return text.lower() if text.isascii() else "".join(map(_small, text))


def _small(character: str) -> str:
    low = character.lower()
    if len(low) > 1 or (low.isascii() and not character.isascii()):
        return character
    return "\N{GREEK SMALL LETTER SIGMA}" if low == "\N{GREEK SMALL LETTER FINAL SIGMA}" else low


def _matches_time(vr: str, key: str, value: str) -> bool:
    """Match a date, time or date-time: a single one, or a range with both ends included.

    What a key leaves out (`1030` has no seconds) stands for all of it: the moments from the
    first to the last that begin so (C.2.2.2.1 and C.2.2.2.5).
    """
    moment = _interval(vr, value)
    if moment is None:
        return False
    low, high = _ends(vr, key)
    if not low and not high:
        return False  # a lone "-" asks for nothing that the standard knows
    first, last = (_interval(vr, low), _interval(vr, high))
    if (low and first is None) or (high and last is None):
        return False
    return (first is None or first[0] <= moment[0]) and (last is None or moment[0] <= last[1])


def date_range(key: str) -> tuple[date | None, date | None] | None:
    """Return the first and the last day that a key of a date asks for; None where it is no date.

    A range may be open at one end.
    """
    low, high = _ends("DA", key.strip(" \0"))
    first, last = _interval("DA", low), _interval("DA", high)
    if (low and first is None) or (high and last is None) or not (low or high):
        return None
    return first[0].date() if first else None, last[1].date() if last else None


def matches_moment(
    date_key: str, time_key: str, dates: Sequence[str], times: Sequence[str]
) -> bool:
    """Match a date and a time as one moment (PS3.4 C.2.2.2.5.4), where that was negotiated.

    A range of dates and a range of times are one range, from the first date's first time to the
    last date's last. Without a time, a value is its whole day.
    """
    (first_date, last_date) = _ends("DA", date_key.strip())
    (first_time, last_time) = _ends("TM", time_key.strip())
    low = _interval("DT", _moment(first_date, first_time)) if first_date else None
    high = _interval("DT", _moment(last_date, last_time)) if last_date else None
    if (first_date and low is None) or (last_date and high is None) or not (low or high):
        return False
    for date_text, time_text in zip(dates, [*times, *[""] * len(dates)], strict=False):
        value = _interval("DT", _moment(date_text, time_text))
        if value is None:
            continue
        if (low is None or low[0] <= value[1]) and (high is None or value[0] <= high[1]):
            return True
    return False


def _moment(date_text: str, time_text: str) -> str:
    return date_text.strip().replace(".", "") + time_text.strip().replace(":", "")


def _ends(vr: str, key: str) -> tuple[str, str]:
    """Split a key into the ends of its range; a single value is both ends."""
    if vr != "DT":
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", key):
            return "", ""  # ISO 8601 is not a DA; it must not pass for a range
        low, hyphen, high = key.partition("-")
        return (low.strip(), high.strip()) if hyphen else (key, key)
    # In a DT, "-" may also begin an offset from UTC, which has four digits (C.2.2.2.5.3).
    single = r"\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?"
    if re.fullmatch(single, key) and not _is_range_of_years(key):
        return key, key
    found = re.fullmatch(rf"({single})?-({single})?", key)
    return (found[1] or "", found[2] or "") if found else ("", "")


def _is_range_of_years(key: str) -> bool:
    """Tell `2020-2024` from `2020-0500`: no offset is beyond 14 hours (PS3.5 6.2)."""
    return bool(re.search(r"-\d{4}$", key)) and int(key[-4:]) > 1400


def _interval(vr: str, text: str) -> tuple[datetime, datetime] | None:
    """Return the first and the last moment that a text stands for; None when it is malformed."""
    text = text.strip()
    if not text:
        return None
    offset = UTC
    if vr == "DA":
        text = text.replace(".", "") if re.fullmatch(r"\d{4}\.\d{2}\.\d{2}", text) else text
        if len(text) != 8:
            return None
    elif vr == "TM":
        text = "20000101" + text.replace(":", "")
    elif found := re.search(r"([+-])(\d{2})(\d{2})$", text):
        minutes = int(found[2]) * 60 + int(found[3])
        offset = timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
        text = text[: found.start()]
    return _moments(text, offset)


def _moments(text: str, offset: timezone) -> tuple[datetime, datetime] | None:
    found = re.fullmatch(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:\.(\d{1,6}))?", text)
    if found is None or (found[7] and not found[6]):
        return None
    numbers = [int(part) for part in found.groups()[:6] if part is not None]
    microseconds = int(found[7].ljust(6, "0")) if found[7] else 0
    padded = numbers + [1, 1, 1, 0, 0, 0][len(numbers) :]
    padded[5] = min(padded[5], 59)  # a leap second is the end of its minute
    try:
        first = datetime(*padded[:6], microseconds, tzinfo=offset)  # type: ignore[arg-type, misc]
        return first, first + _length(first, len(numbers), found[7]) - timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None


def _length(first: datetime, parts: int, fraction: str | None) -> timedelta:
    """Return how long the moment is that is given to this precision."""
    if parts == 1:
        return first.replace(year=first.year + 1) - first
    if parts == 2:
        return (first + 31 * _DAY).replace(day=1) - first
    if fraction is not None:
        return timedelta(microseconds=10 ** (6 - len(fraction)))
    return {3: _DAY, 4: timedelta(hours=1), 5: timedelta(minutes=1)}.get(
        parts, timedelta(seconds=1)
    )
