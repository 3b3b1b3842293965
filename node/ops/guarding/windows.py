"""Since when and until when hours are open; where they always are, this machine's day. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from node.config.hours.opening import OpenTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """A night, mostly.

    Attributes
    ----------
    begin, end
        Naive UTC; from when on, and until before when.
    next
        When the next one begins; None where there is none within a year.
    day
        Whether it is a day, because the hours are always open.
    """

    begin: datetime
    end: datetime
    next: datetime | None
    day: bool = False


def window_of(hours: OpenTimes, now: datetime) -> OpenWindow | None:
    """Return the window of hours that an instant is in; None where they are closed then.

    Parameters
    ----------
    now
        Aware.
    """
    if not hours.contains(now):
        return None
    begin, end = hours.opened_last(now), hours.closes_next(now)
    if begin is None or end is None:
        here = now.astimezone()
        first = datetime.combine(here.date(), time()).astimezone()
        after = datetime.combine(here.date() + timedelta(days=1), time()).astimezone()
        return OpenWindow(begin=_naive(first), end=_naive(after), next=_naive(after), day=True)
    opens = hours.opens_next(end)
    return OpenWindow(
        begin=_naive(begin), end=_naive(end), next=None if opens is None else _naive(opens)
    )


def _naive(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None)
