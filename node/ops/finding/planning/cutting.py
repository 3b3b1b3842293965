"""Cutting a window into parts: by dates, by the times of one day, by the values of another key."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, time

from node.config.values import Axis
from node.dicom.query import StudyQuery, Window

MINUTES = 1440
"""Of a day."""

AXES = tuple(str(axis) for axis in Axis)
"""The keys by which a window is split that neither dates nor times can split."""

_MODALITIES = ("CT", "MR", "CR", "DX", "US", "XA", "MG", "NM", "PT", "RF", "OT", "SR")
_DIGITS = "0123456789"
_CHARACTERS = f"{_DIGITS}ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LONGEST = 6
"""Characters of a pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What is cut: days, or the minutes of one day, as numbers from `first` to `last`."""

    query: StudyQuery
    by: str
    first: int
    last: int

    @property
    def length(self) -> int:
        """How many days or minutes it has."""
        return self.last - self.first + 1

    def part(self, first: int, last: int) -> StudyQuery:
        """Return the question for a part of it, both ends included."""
        window = self.query.window
        if self.by == "dates":
            window = Window(start=date.fromordinal(first), end=date.fromordinal(last))
        elif (first, last) != (0, MINUTES - 1):
            window = replace(window, first=_moment(first), last=_moment(last, end=True))
        return replace(self.query, window=window)


def line_of(query: StudyQuery, *, times: bool) -> Stretch | None:
    """Return what a question can be cut along; None where dates and times cut no further.

    Parameters
    ----------
    times
        Whether a day may be cut into times.
    """
    window = query.window
    if window.undated or window.start is None or window.end is None:
        return None
    if window.start < window.end:
        first, last = window.start.toordinal(), window.end.toordinal()
        return Stretch(query=query, by="dates", first=first, last=last)
    if not times:
        return None
    first, last = 0, MINUTES - 1
    if window.first is not None and window.last is not None:
        first = window.first.hour * 60 + window.first.minute
        last = window.last.hour * 60 + window.last.minute
    return Stretch(query=query, by="times", first=first, last=last) if first < last else None


def days_of(query: StudyQuery) -> Stretch | None:
    """Return the days of a question; None where it is open at an end."""
    window = query.window
    if window.undated or window.start is None or window.end is None:
        return None
    first, last = window.start.toordinal(), window.end.toordinal()
    return Stretch(query=query, by="dates", first=first, last=last)


def along(axis: str, query: StudyQuery, base: StudyQuery) -> Iterator[StudyQuery]:
    """Yield the questions into which an axis cuts a question; none where it cannot.

    They reach no study without a value: together they are never proof. Where no date is asked for,
    all that the peer has is cut: by the last digit, in which numbers given one after the other
    differ most, and not by the first characters, which many have in common.

    Parameters
    ----------
    axis
        The keyword of the key.
    base
        What the whole find is restricted to: a key of it is no axis.
    """
    keyword = str(axis)
    value = query.keys().get(keyword, "")
    if keyword in base.keys():  # noqa: SIM118 - a method, not a dictionary's
        return
    if keyword == Axis.MODALITIES:
        if not value:
            yield from (replace(query, modality=one) for one in _MODALITIES)
        return
    given = value.strip("*")
    if len(given) >= _LONGEST:
        return
    undated = query.window.undated
    for character in _DIGITS if undated else _CHARACTERS:
        pattern = f"*{character}{given}" if undated else f"{given}{character}*"
        if keyword == Axis.PATIENT_ID:
            yield replace(query, patient_id=pattern)
        else:
            yield replace(query, accession_number=pattern)


def narrowed(width: int, *, size: int, target: float) -> int:
    """Return how wide the next window is for about `target` studies, at most four times as wide."""
    if not size or math.isinf(target):
        return width * 4
    return max(1, min(width * 4, max(width // 4, math.floor(width * target / size))))


def _moment(minute: int, *, end: bool = False) -> time:
    hour, minute = divmod(minute, 60)
    return time(hour, minute, 59, 999999) if end else time(hour, minute)
