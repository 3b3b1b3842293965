"""When the next cycle begins. Pure: times in, times out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from node.config import Hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How often, and in which hours.

    Attributes
    ----------
    every
        Seconds from the beginning of one cycle to the beginning of the next.
    hours
        The hours in which a cycle may begin; None is any time.
    """

    every: float
    hours: Hours | None = None

    def next(self, last: datetime | None, now: datetime) -> datetime:
        """Return when the next cycle begins: at once for the first, inside the hours.

        Parameters
        ----------
        last
            When the last cycle began; None when there was none.
        now
            The present, aware. A cycle that took longer than `every` is followed at once.
        """
        due = now if last is None else max(now, last + timedelta(seconds=self.every))
        return self.hours.next_opening(due) if self.hours else due
