"""When hours open and close next, of one kind or of several together.

What is open changes at few instants: where a window begins or ends, at midnight, and where the
zone's clocks are set. Between two of them nothing changes, so that only these are looked at: the
answers are exact, however far away they are.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

HORIZON = timedelta(days=400)
"""How far ahead is looked: holidays come every year."""

LONGEST = timedelta(days=8)
"""How far back is looked: what has been open for longer is open always, as far as nights go."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


class OpenTimes(ABC):
    """What is open at some times, and not at others."""

    __slots__ = ()

    @abstractmethod
    def contains(self, when: datetime) -> bool:
        """Whether an instant is inside.

        Parameters
        ----------
        when
            An aware datetime, of any time zone.

        Raises
        ------
        ValueError
            `when` is naive.
        """

    @abstractmethod
    def changes(self, begin: datetime, end: datetime) -> Iterable[datetime]:
        """Return each instant from `begin` to before `end` at which it may open or close, in UTC.

        In any order, and perhaps more than once.
        """

    def opens_next(self, when: datetime) -> datetime | None:
        """Return the first instant from `when` on that is inside: `when` itself, or a later one.

        Returns
        -------
        datetime or None
            In UTC when it is a later one; None where there is none within `HORIZON`.

        Raises
        ------
        ValueError
            `when` is naive.
        """
        return self._next(when, inside=True)

    def closes_next(self, when: datetime) -> datetime | None:
        """Return the first instant from `when` on that is outside: `when` itself, or a later one.

        Returns and raises as `opens_next` does.
        """
        return self._next(when, inside=False)

    def opened_last(self, when: datetime) -> datetime | None:
        """Return since when it is open at an instant: when it opened the last time before, in UTC.

        Returns
        -------
        datetime or None
            None where it is closed then, or has been open for longer than `LONGEST`.

        Raises
        ------
        ValueError
            `when` is naive.
        """
        if not self.contains(when):
            return None
        end = when.astimezone(UTC) + _SECOND / 1000
        limit = end - LONGEST
        while end > limit:
            for instant in sorted(set(self.changes(end - _DAY, end)), reverse=True):
                if not self.contains(instant - _SECOND / 1000):
                    return instant
            end -= _DAY
        return None

    def _next(self, when: datetime, *, inside: bool) -> datetime | None:
        if self.contains(when) is inside:
            return when
        begin = when.astimezone(UTC)
        limit = begin + HORIZON
        while begin < limit:
            for instant in sorted(set(self.changes(begin, begin + _DAY))):
                if self.contains(instant) is inside:
                    return instant
            begin += _DAY
        return None


@dataclass(frozen=True, slots=True)
class CommonHours(OpenTimes):
    """Hours that all have to be open; without any it is always open."""

    parts: tuple[OpenTimes, ...] = ()

    def __str__(self) -> str:
        return " and ".join(map(str, self.parts)) or "at any time"

    def contains(self, when: datetime) -> bool:
        """Whether an instant is inside all of them; parameters and errors as `OpenTimes`."""
        return all(part.contains(when) for part in self.parts)

    def changes(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield each instant at which one of them may open or close, as `OpenTimes` has it."""
        for part in self.parts:
            yield from part.changes(begin, end)


def wall_instants(
    begin: datetime, end: datetime, clocks: Iterable[time], zone: tzinfo | None
) -> Iterator[datetime]:
    """Yield the instants at which clocks on the wall show one of some times, or are set.

    Parameters
    ----------
    begin, end
        From when on, and before when; in UTC, no more than a day apart.
    clocks
        The times of day. One that comes twice on a day is yielded twice; one that does not come
        is told by the instant at which the clocks are set.
    zone
        Where the wall is; None is the machine's own zone.
    """
    day, last = begin.astimezone(zone).date() - _DAY, end.astimezone(zone).date() + _DAY
    clocks = tuple(clocks)
    while day <= last:
        for clock in clocks:
            for fold in (0, 1):
                wall = datetime.combine(day, clock, tzinfo=zone).replace(fold=fold)
                if begin <= (instant := wall.astimezone(UTC)) < end:
                    yield instant
        day += _DAY
    if (change := _clocks_set(begin - _SECOND, end - _SECOND, zone)) is not None:
        yield change


def _clocks_set(before: datetime, until: datetime, zone: tzinfo | None) -> datetime | None:
    """Return the instant after `before` and up to `until` at which the offset of a zone changes.

    To the second, as the database of zones has it.
    """

    def offset(instant: datetime) -> timedelta | None:
        return instant.astimezone(zone).utcoffset()

    if offset(before) == offset(until):
        return None
    while until - before > _SECOND:
        middle = before + (until - before) / 2
        if offset(middle) == offset(before):
            before = middle
        else:
            until = middle
    return until.replace(microsecond=0)
