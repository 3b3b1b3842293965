"""How many studies a peer is expected to have of which dates: as many as were found before."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import date
from itertools import accumulate

from node.ops.finding.planning.cutting import narrowed

_FIRST = 31
"""Days of the widest window, where none is known to have brought something."""


class Expectation:
    """The studies of the dates that were proven before.

    Parameters
    ----------
    proven
        Ranges of dates, both ends included, that do not overlap.
    studies
        The dates with studies, and how many they have.
    """

    def __init__(
        self,
        proven: Iterable[tuple[date, date]] = (),
        studies: Iterable[tuple[date, int]] = (),
    ) -> None:
        self._ranges: list[tuple[int, int]] = []
        for first, last in sorted(proven):
            start = first.toordinal()
            if self._ranges and self._ranges[-1][1] + 1 == start:
                start, _ = self._ranges.pop()
            self._ranges.append((start, last.toordinal()))
        counted = sorted((day.toordinal(), count) for day, count in studies)
        self._days = [day for day, _ in counted]
        self._sums = [0, *accumulate(count for _, count in counted)]

    def count(self, first: int, last: int) -> int | None:
        """Return the studies of a range of dates, as ordinals; None where some were not proven."""
        return None if self._known_until(first) < last else self._between(first, last)

    def until(self, day: int) -> tuple[int, list[tuple[int, int]]]:
        """Return how many studies were found up to a day, and the ranges that they are of."""
        ranges = [(first, min(last, day)) for first, last in self._ranges if first <= day]
        return self._sums[bisect_right(self._days, day)], ranges

    def width(self, first: int, width: int, *, target: float, widest: int) -> int:
        """Return how wide a window is that begins at a date, with about `target` studies.

        Parameters
        ----------
        width
            How wide it is where that is not known.
        widest
            The most days of a window that has brought something: it is at most four times as wide.
        """
        end = self._known_until(first)
        if end < first or math.isinf(target):
            return width
        before = self._sums[bisect_left(self._days, first)]
        place = bisect_right(self._sums, before + target) - 1
        most = 4 * max(widest, _FIRST)
        if place >= len(self._days) or self._days[place] > end:
            days = end - first + 1  # and what follows is taken to be like that
            return max(
                min(narrowed(days, size=self._between(first, end), target=target), most), width
            )
        return min(max(1, self._days[place] - first), most)

    def _known_until(self, day: int) -> int:
        place = bisect_right(self._ranges, day, key=lambda one: one[0]) - 1
        return self._ranges[place][1] if place >= 0 and self._ranges[place][1] >= day else day - 1

    def _between(self, first: int, last: int) -> int:
        return (
            self._sums[bisect_right(self._days, last)] - self._sums[bisect_left(self._days, first)]
        )
