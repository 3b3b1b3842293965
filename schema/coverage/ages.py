"""How old a proof may be, by the age of the date that it is about; pure.

Studies are imported late, under old dates. So a proof holds for as long as the policy says, and for
less where studies have come late before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeBand:
    """Dates of a certain age, and how often they are asked for again.

    Attributes
    ----------
    days
        The most days that lie between such a date and today; None: any number.
    every
        How long a proof of such a date holds; None: for ever.
    """

    days: int | None
    every: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgePolicy:
    """How old proofs may be.

    Attributes
    ----------
    bands
        By age, the newest dates first; the last one has no end. A proof of the first one's dates
        holds for no time at all: they are asked for whenever somebody asks.
    """

    bands: tuple[AgeBand, ...]

    def __post_init__(self) -> None:
        ages = [band.days for band in self.bands]
        ordered = all(
            one is not None and (other is None or one <= other) for one, other in pairwise(ages)
        )
        if not ages or ages[-1] is not None or not ordered:
            raise ValueError("the bands are ordered by age, and the last one has no end")

    @property
    def newest(self) -> AgeBand:
        """The dates that are asked for whenever somebody asks."""
        return self.bands[0]

    @property
    def shortest(self) -> timedelta:
        """The shortest time that a proof holds which holds for any time at all; a day at most."""
        times = [band.every for band in self.bands if band.every]
        return min([*times, timedelta(days=1)])

    def band(self, age: int) -> AgeBand:
        """Return the band of a date; `age` is how many days ago it was, below 0 in the future."""
        return next(band for band in self.bands if band.days is None or age <= band.days)

    def holds(self, band: AgeBand, *, quiet: timedelta | None) -> timedelta | None:
        """Return how long a proof of the dates of a band holds; None: for ever.

        Parameters
        ----------
        quiet
            How long before that proof studies had come late there for the last time; None when
            none ever had. What was quiet for so many whole days is believed for as many and the
            shortest time, so that the time from one question to the next doubles, 1, 2, 4 days,
            until it is what the band says.
        """
        if quiet is None or (band.every is not None and quiet >= band.every):
            return band.every
        shorter = self.shortest + timedelta(days=quiet.days)
        return shorter if band.every is None else min(shorter, band.every)


def bounds(policy: AgePolicy) -> Sequence[int]:
    """Return the ages in days at which a band ends."""
    return [band.days for band in policy.bands if band.days is not None]


def age_of(proof: datetime, now: datetime) -> timedelta:
    """Return how old a proof is; one of the future, from another clock, is new."""
    return max(now - proof, timedelta())
