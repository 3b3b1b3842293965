"""When the next cycle begins. Pure: times in, seconds out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from node.config import OpenTimes
from node.config.hours.opening import HORIZON

_SHARE = 10
"""Of `every`, jitter is at most this part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How often, and in which hours.

    Attributes
    ----------
    every
        Seconds from the beginning of one cycle to the beginning of the next.
    hours
        The hours in which a cycle may begin; None is any time.
    jitter
        By how many seconds at most a cycle begins later than that, a tenth of `every` at most:
        several nodes with one configuration are not to ask at the same moment.
    seed
        Whose schedule it is: what is late by how much follows from this and the number of the
        cycle alone.
    """

    every: float
    hours: OpenTimes | None = None
    jitter: float = 0.0
    seed: str = ""

    def wait(self, since: float | None, now: datetime, *, number: int = 0) -> float:
        """Return the seconds until the next cycle begins: at once for the first, inside the hours.

        Parameters
        ----------
        since
            Seconds since the last cycle began, by a clock that nobody sets; None when there was
            none. A cycle that took longer than `every` is followed at once.
        now
            The present, aware: only the hours depend on it.
        number
            How many cycles have begun.
        """
        late = self._late(number)
        left = 0.0 if since is None else max(0.0, self.every + late - since)
        if self.hours is None:
            return left
        due = now + timedelta(seconds=left)
        return left + (_opening(self.hours, due, timedelta(seconds=late)) - due).total_seconds()

    def _late(self, number: int) -> float:
        """Return by how many seconds a cycle is late."""
        digest = blake2b(f"{self.seed} {number}".encode(), digest_size=8).digest()
        share = int.from_bytes(digest) / 2**64
        return share * min(self.jitter, self.every / _SHARE)


def _opening(hours: OpenTimes, due: datetime, late: timedelta) -> datetime:
    """Return the first moment from one on that is inside, and not right after an opening.

    For that, all who have the same hours wait. Hours that are shorter have no room for it.
    """
    for earliest in (due - late, due):
        opening = hours.opens_next(earliest)
        if opening is not None and hours.contains(opening + late):
            return opening + late
    return hours.opens_next(due) or due + HORIZON
