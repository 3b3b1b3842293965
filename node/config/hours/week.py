"""Hours as people write them: windows of a day, each on some days of the week.

They are wall-clock times in a time zone. They may cross midnight, and they follow the zone's
daylight saving: what is outside by the clock on the wall is outside.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from node.config.hours.clocks import (
    EVERY_DAY,
    parse_clock,
    parse_weekdays,
    parse_zone,
    weekdays_in_words,
)
from node.config.hours.holidays import Holidays
from node.config.hours.opening import OpenTimes, wall_instants

_FORM = (
    'hours are written "20:00-06:00", or "mon-fri 20:00-06:00, sat-sun 00:00-24:00 Europe/Paris"'
    " with days of the week and a time zone"
)
_DAYS = r"[a-z]+(?:\s*-\s*[a-z]+)?"
_PART = re.compile(
    rf"(?i:(?P<days>{_DAYS})(?:\s+|$))?"
    r"(?:(?P<start>[\d:]+)\s*-\s*(?P<end>[\d:]+)(?:\s+(?P<zone>\S.*))?)?"
)
_ONE_DAY = timedelta(days=1)
_MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyWindow:
    """A window of a day, on some days of the week.

    Attributes
    ----------
    start, end
        Wall-clock times, to the minute; `end` is outside. Where `end` is not after `start`, the
        window crosses midnight, and belongs to the day on which it begins. An end at midnight is
        written 24:00.
    days
        The days of the week on which it begins; Monday is 0.
    """

    start: time
    end: time
    days: frozenset[int] = EVERY_DAY

    def __str__(self) -> str:
        return f"{weekdays_in_words(self.days)} {self.clocks}"

    @property
    def clocks(self) -> str:
        """Its times of day, as they are written."""
        end = "24:00" if self.end == _MIDNIGHT else f"{self.end:%H:%M}"
        return f"{self.start:%H:%M}-{end}"

    def covers(self, clock: time, *, today: int, yesterday: int) -> bool:
        """Whether a time of day is inside, by the days of the week of today and yesterday."""
        if self.start < self.end:
            return today in self.days and self.start <= clock < self.end
        began_today = today in self.days and clock >= self.start
        return began_today or (yesterday in self.days and clock < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours(OpenTimes):
    """The hours of a week in which something may be done.

    Attributes
    ----------
    windows
        One of them has to be open.
    zone
        The time zone; None is the machine's own.
    holidays
        The days that are like another one.
    """

    windows: tuple[DailyWindow, ...]
    zone: ZoneInfo | None = None
    holidays: Holidays = field(default_factory=Holidays)

    @classmethod
    def parse(cls, text: str | Iterable[str]) -> Self:
        """Read hours, such as ``20:00-06:00`` or ``mon-fri 20:00-06:00, sat 00:00-24:00 UTC``.

        Parameters
        ----------
        text
            Windows, with commas or semicolons between them, or a list of them. Days of the week
            may be a list as well: ``mon, wed, fri 20:00-06:00``. The time zone is named once.

        Raises
        ------
        ValueError
            The text does not say hours; the message shows how they are written.
        """
        parts = text if isinstance(text, str) else ",".join(text)
        said: list[tuple[frozenset[int], DailyWindow]] = []
        zones: dict[str, None] = {}
        days: frozenset[int] = frozenset()
        for part in re.split("[,;]", parts):
            match = _PART.fullmatch(part.strip())
            if match is None or not part.strip():
                raise ValueError(_FORM)
            if match["days"]:
                days |= parse_weekdays(match["days"])
            if match["start"] is None:
                continue  # the hours of these days come with the next part
            said.append((days, _window(match["start"], match["end"], days)))
            days = frozenset()
            if match["zone"]:
                zones[match["zone"]] = None
        if days:
            raise ValueError(f"the hours of {weekdays_in_words(days)} are missing; {_FORM}")
        for on, window in said:
            if not on and any(days for days, _ in said):
                raise ValueError(
                    f"{window.clocks} is without days of the week, and others are not:"
                    " write mon-sun where it is to hold on every day"
                )
        if len(zones) > 1:
            raise ValueError(
                f"one time zone holds for all hours, and {' and '.join(zones)} are named"
            )
        zone = parse_zone(next(iter(zones))) if zones else None
        return cls(windows=tuple(window for _, window in said), zone=zone)

    def __str__(self) -> str:
        alike = all(window.days == EVERY_DAY for window in self.windows)
        windows = (window.clocks if alike else str(window) for window in self.windows)
        zone = f" {self.zone.key}" if self.zone else ""
        return f"{', '.join(windows)}{zone}"

    def contains(self, when: datetime) -> bool:
        """Whether an instant is inside; parameters and errors as `OpenTimes` has them."""
        if when.tzinfo is None:
            raise ValueError("hours need an aware datetime")
        wall = when.astimezone(self.zone)
        clock, day = wall.time(), wall.date()
        today = self.holidays.weekday(day)
        yesterday = self.holidays.weekday(day - _ONE_DAY)
        return any(
            window.covers(clock, today=today, yesterday=yesterday) for window in self.windows
        )

    def changes(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield each instant at which it may open or close, as `OpenTimes` has it."""
        clocks = {clock for window in self.windows for clock in (window.start, window.end)}
        return wall_instants(begin, end, {_MIDNIGHT, *clocks}, self.zone)


def _window(start: str, end: str, days: frozenset[int]) -> DailyWindow:
    opens, closes = parse_clock(start), parse_clock(end)
    whole_day = opens == _MIDNIGHT and int(end.partition(":")[0]) == 24
    if opens == closes and not whole_day:
        raise ValueError(f"the window opens and closes at the same time; {_FORM}")
    return DailyWindow(start=opens, end=closes, days=days or EVERY_DAY)
