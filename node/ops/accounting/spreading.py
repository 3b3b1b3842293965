"""Over which of the hours' openings moves spread, and how much budgets leave of each; pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from node.config.hours.opening import CommonHours

_LONGEST = timedelta(days=365 * 1000).total_seconds()
"""What takes longer takes as long: dates have an end."""

_INSTANT = 0.001
"""Seconds that are nothing: sums of parts are not exact."""

_COUNTED = 60
"""Openings that are looked at one by one; what needs more is as these are, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How long moves run in a night until a budget is used up.

    Attributes
    ----------
    key
        Where the configuration says so.
    hours
        From when they open until they close it holds; a day, where they always are.
    left
        Seconds that are left of it now, where they are open.
    whole
        Seconds of each night behind it.
    """

    key: str
    hours: CommonHours
    left: float
    whole: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Over what so many seconds of moves spread.

    Attributes
    ----------
    openings
        Of the hours, or days of a budget where there are none, in which something is moved.
    ends_on
        When the last second is over, in UTC.
    budgets
        Those that are used up before that, by their keys.
    """

    openings: int
    ends_on: datetime
    budgets: tuple[str, ...] = ()


class _Share:
    """What is left of an allowance, from opening to opening."""

    def __init__(self, allowance: Allowance, now: datetime) -> None:
        self.key = allowance.key
        self._allowance = allowance
        self.left = allowance.left if allowance.hours.contains(now) else allowance.whole
        self.until = _ends(allowance.hours, now)

    def at(self, when: datetime) -> None:
        """Begin anew where another night has begun."""
        if when >= self.until:
            self.left, self.until = self._allowance.whole, _ends(self._allowance.hours, when)


def spread(
    hours: CommonHours, start: datetime, seconds: float, allowances: Sequence[Allowance] = ()
) -> Spread | None:
    """Return over what so many seconds of moves spread; None where they never end.

    Parameters
    ----------
    start
        From when on, aware. An opening that has begun counts as one.
    """
    left, at = min(seconds, _LONGEST), start
    shares = [_Share(one, start) for one in allowances]
    used: dict[str, None] = {}
    openings = steps = before = 0
    first: datetime | None = None
    done, counted = 0.0, False
    while True:
        opens = hours.opens_next(at)
        if opens is None:
            return None
        for share in shares:
            share.at(opens)
        if steps == 1:  # of the first there may be only a part
            first, before = opens, openings
        if first is not None and steps > _COUNTED:
            mean, apart = done / _COUNTED, (opens - first) / _COUNTED
            if mean <= 0:
                return None
            whole = max(0, math.ceil(left / mean - _INSTANT) - 1)
            over = min(whole * apart.total_seconds(), _LONGEST) + left - whole * mean
            ends_on = opens + timedelta(seconds=min(over, _LONGEST))
            openings += round((whole + 1) * (openings - before) / _COUNTED)
            return Spread(openings=openings, ends_on=ends_on, budgets=tuple(used))
        ends = [one for one in (hours.closes_next(opens), *(s.until for s in shares)) if one]
        closes = min(ends, default=None)
        room = left if closes is None else (closes - opens).total_seconds()
        moved = min(left, room, *(share.left for share in shares))
        counted = counted and opens == at and bool(hours.parts)
        if moved > _INSTANT and not counted:
            openings, counted = openings + 1, True
        if moved >= left - _INSTANT:
            ends_on = opens + timedelta(seconds=left)
            return Spread(openings=openings, ends_on=ends_on, budgets=tuple(used))
        used |= {share.key: None for share in shares if share.left < min(left, room) - _INSTANT}
        for share in shares:
            share.left -= moved
        left -= moved
        done += moved if steps else 0.0
        steps += 1
        at = closes or opens


def _ends(hours: CommonHours, when: datetime) -> datetime:
    """Return when the night that an instant is in ends; the day, where hours are always open."""
    when = hours.opens_next(when) or when
    closes = hours.closes_next(when) if hours.parts else None
    if closes is not None:
        return closes
    day = when.astimezone().date() + timedelta(days=1)
    return datetime.combine(day, time()).astimezone(UTC)
