"""How many studies a peer is known to have, by date: what its answers are held against."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

from node.dicom.query import StudyQuery


@dataclass(frozen=True, slots=True)
class KnownDays:
    """The studies that earlier finds have found at a peer, and that it has not been found to lack.

    Fewer than these are no proof of anything: a peer may have deleted studies. They show where it
    is worth to ask once more.

    Attributes
    ----------
    days
        Those with studies, as ordinals, in order.
    until
        How many studies lie on these days and before; one more than there are days, from 0.
    """

    days: tuple[int, ...] = ()
    until: tuple[int, ...] = (0,)

    @classmethod
    def of(cls, counts: Mapping[date, int]) -> "KnownDays":
        """Return what is known, from the number of studies of each day."""
        days = sorted(counts)
        return cls(
            tuple(day.toordinal() for day in days),
            tuple(accumulate((counts[day] for day in days), initial=0)),
        )

    @property
    def total(self) -> int:
        """How many studies with a date are known at all."""
        return self.until[-1]

    def at_least(self, query: StudyQuery) -> int:
        """Return how many studies are known that a question should bring.

        What is restricted by keys, or to times of a day, is not known.
        """
        window = query.window
        if window.start is None or window.end is None or window.first is not None or query.keys():
            return 0
        first = bisect_left(self.days, window.start.toordinal())
        last = bisect_right(self.days, window.end.toordinal())
        return self.until[last] - self.until[first]
