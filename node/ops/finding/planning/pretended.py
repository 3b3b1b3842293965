"""A pretended archive, against which a find is played: how many studies a question is about.

It has as many studies of each date as earlier finds have found, and on the days that are over the
peer's cap at the times that these have. What is not known lies evenly.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from node.config.values import Axis
from node.dicom.query import StudyQuery
from node.ops.finding.planning.cutting import MINUTES, days_of
from node.ops.finding.planning.expecting import Expectation

KINDS = 10
"""How many values of a key, or characters of one, are as frequent as each other."""

WEEK = 7
"""Days."""

DayMinutes = Mapping[int, Sequence[int]]
"""By the ordinals of days, the minute of the day of each study that has a time, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretendedArchive:
    """Studies, evenly over the days, and over the times of each day, of which nothing is known.

    Attributes
    ----------
    per_day
        Studies of a day of which nothing is known.
    minutes
        The times of days.
    working
        The days of a week that have studies, from Monday on.
    undated
        Studies without a date, for each that has one.
    kinds
        By how many a key that what is asked for has not itself divides studies, for each character;
        0: it chooses none.
    """

    per_day: float
    expected: Expectation | None = None
    minutes: DayMinutes = field(default_factory=dict)
    working: int = WEEK
    undated: float = 1.0
    kinds: int = KINDS

    def holds(self, queries: Sequence[StudyQuery]) -> bool:
        """Tell whether it is known how many studies the dates of all queries have."""
        dated = [query for query in queries if not query.window.undated]
        known, ranges = self.expected, [days_of(query) for query in dated]
        return known is not None and all(
            one is not None and known.count(one.first, one.last) is not None for one in ranges
        )

    def count(self, query: StudyQuery, base: StudyQuery, *, dated: int) -> int:
        """Return how many studies a question is about.

        Parameters
        ----------
        dated
            How many studies with a date there are: a question without one is about these as well.
        """
        count = dated + math.ceil(dated * self.undated)
        if not query.window.undated:
            count = self._of_dates(query)
        for keyword, value in query.keys().items() - base.keys().items():
            keyed = keyword in {Axis.PATIENT_ID, Axis.ACCESSION_NUMBER}
            chosen = self.kinds ** len(value.strip("*")) if keyed else self.kinds
            count = (count + chosen // 2) // chosen if chosen else 0
        return count

    def untimed(self, query: StudyQuery) -> int:
        """Return how many studies of a day are known to have no time."""
        days = days_of(query)
        if days is None or days.length > 1 or query.window.first is not None:
            return 0
        minutes = self.minutes.get(days.first)
        return 0 if minutes is None else max(0, self._of_dates(query) - len(minutes))

    def _of_dates(self, query: StudyQuery) -> int:
        days = days_of(query)
        if days is None:
            return 0
        window, first, last = query.window, 0, MINUTES - 1
        if window.first is not None and window.last is not None:
            first, last = (one.hour * 60 + one.minute for one in (window.first, window.last))
        minutes = self.minutes.get(days.first)
        if minutes is not None and window.first is not None:
            return bisect_right(minutes, last) - bisect_left(minutes, first)
        return self._before(days.last, last + 1) - self._before(days.first, first)

    def _before(self, day: int, minute: int) -> int:
        """Return how many studies lie before a moment of a day."""
        before, after = self._until(day - 1), self._until(day)
        return int(before + (after - before) * minute / MINUTES)

    def _until(self, day: int) -> float:
        known, ranges = (0, []) if self.expected is None else self.expected.until(day)
        left = self._weighed(0, day) - sum(self._weighed(first - 1, last) for first, last in ranges)
        return known + left * self.per_day

    def _weighed(self, first: int, last: int) -> float:
        """Return how many days there are between two, as many as have studies."""
        days = [day // WEEK * self.working + min(day % WEEK, self.working) for day in (first, last)]
        return (days[1] - days[0]) * WEEK / self.working
