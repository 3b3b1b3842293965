"""Studies that came late: found in a PACS under dates that had been proven before; pure."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from schema.coverage.proof import DateStretch
from schema.text.words import counted

_NAMED = 3
"""Months of which the dates are named in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDay:
    """The studies of a date that a PACS has.

    Attributes
    ----------
    studies
        How many were counted.
    found_on
        When one of them was found there first: the latest of these moments, naive UTC.
    """

    day: date
    studies: int
    found_on: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Dates of one month among which studies came late.

    Attributes
    ----------
    first, last
        Both included.
    studies
        How many were counted among these dates.
    found_on
        When the last of them was found, naive UTC.
    """

    first: date
    last: date
    studies: int
    found_on: datetime

    @property
    def dates(self) -> str:
        """Its dates in words."""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def in_words(drifts: Sequence[Drift]) -> str:
    """Say in short how many studies came late, and of which dates."""
    dates = ", ".join(one.dates for one in drifts[:_NAMED])
    more = len(drifts) - _NAMED
    others = f" and {counted(more, 'other month')}" if more > 0 else ""
    return f"{counted(sum(one.studies for one in drifts), 'study')} of {dates}{others}"


def late(known: Sequence[DateStretch], days: Iterable[StudyDay]) -> list[Drift]:
    """Return the months in which studies came after all had been known, the earliest first.

    Parameters
    ----------
    known
        As `schema.coverage.proof.stretches` returns them.
    days
        The studies by date, the earliest date first.
    """
    firsts = [stretch.first or date.min for stretch in known]
    came = [one for one in days if _is_late(one, known, firsts)]
    found = []
    for _, group in groupby(came, key=lambda one: (one.day.year, one.day.month)):
        month = list(group)
        found.append(
            Drift(
                first=month[0].day,
                last=month[-1].day,
                found_on=max(one.found_on for one in month),
                studies=sum(one.studies for one in month),
            )
        )
    return found


def _is_late(one: StudyDay, known: Sequence[DateStretch], firsts: Sequence[date]) -> bool:
    place = bisect_right(firsts, one.day) - 1
    if place < 0:
        return False
    stretch = known[place]
    if stretch.last is not None and stretch.last < one.day:
        return False
    return stretch.settled_on is not None and one.found_on > stretch.settled_on
