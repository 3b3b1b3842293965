"""When the next cycle begins. Pure: times in, seconds out."""

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

    def wait(self, since: float | None, now: datetime) -> float:
        """Return the seconds until the next cycle begins: at once for the first, inside the hours.

        Parameters
        ----------
        since
            Seconds since the last cycle began, by a clock that nobody sets; None when there was
            none. A cycle that took longer than `every` is followed at once.
        now
            The present, aware: only the hours depend on it.
        """
        left = 0.0 if since is None else max(0.0, self.every - since)
        if self.hours is None:
            return left
        due = now + timedelta(seconds=left)
        return left + (self.hours.next_opening(due) - due).total_seconds()
