"""The calendar of what is known of a PACS, month by month; pure."""

import calendar
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from schema.coverage.due import DueRange
from schema.coverage.proof import DateStretch


class MonthState(StrEnum):
    """What is known of a month."""

    PROVEN = "proven"
    """All of its days are proven."""
    STALE = "stale"
    """Those that were asked for are, but of some of them the proof is older than it may be."""
    PART = "part"
    """Those that were asked for are; the others never were asked for."""
    GAP = "gap"
    """At least one day is a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month of which at least a day was asked for.

    Attributes
    ----------
    proven, gaps
        How many of its days are proven, and how many are a gap.
    oldest
        The oldest proof among those days, naive UTC; None without any.
    stale
        How many of the days that are proven are due, as their proof has expired.
    """

    year: int
    month: int
    proven: int
    gaps: int
    oldest: datetime | None
    stale: int = 0

    @property
    def state(self) -> MonthState:
        """What is known of it."""
        if self.gaps:
            return MonthState.GAP
        if self.stale:
            return MonthState.STALE
        whole = self.proven == calendar.monthrange(self.year, self.month)[1]
        return MonthState.PROVEN if whole else MonthState.PART


def months(known: Sequence[DateStretch], stale: Sequence[DueRange] = ()) -> list[Month]:
    """Return what is known of each month; what is open at an end is left out of it.

    Parameters
    ----------
    stale
        The dates whose proof has expired.
    """
    expired: Counter[tuple[int, int]] = Counter()
    for one in stale:
        for year, month, count in _months_of(one.first, one.last):
            expired[year, month] += count
    days: dict[tuple[int, int], list[tuple[int, DateStretch]]] = {}
    for stretch in known:
        if stretch.question and stretch.first is not None and stretch.last is not None:
            for year, month, count in _months_of(stretch.first, stretch.last):
                days.setdefault((year, month), []).append((count, stretch))
    return [
        Month(
            year=year,
            month=month,
            proven=sum(count for count, stretch in parts if stretch.is_proven),
            gaps=sum(count for count, stretch in parts if stretch.is_gap),
            oldest=min(
                (one.proven_on for _, one in parts if one.is_proven and one.proven_on),
                default=None,
            ),
            stale=expired[year, month],
        )
        for (year, month), parts in sorted(days.items())
    ]


def _months_of(first: date, last: date) -> Iterator[tuple[int, int, int]]:
    """Yield each month between two days, and how many of its days lie between them."""
    day = first
    while day <= last:
        length = calendar.monthrange(day.year, day.month)[1]
        end = min(day.replace(day=length), last)
        yield day.year, day.month, end.day - day.day + 1
        if end == date.max:
            return
        day = date.fromordinal(end.toordinal() + 1)
