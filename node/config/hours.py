"""The hours of a day in which something may be done, such as retrieving from a busy PACS.

Hours are wall-clock times in a time zone. They may cross midnight, and they follow the
zone's daylight saving: what is outside by the clock on the wall is outside.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_FORM = 'hours are written "20:00-06:00", or "20:00-06:00 Europe/Paris" with a time zone'
_PATTERN = re.compile(r"(?P<start>[\d:]+)\s*-\s*(?P<end>[\d:]+)(?:\s+(?P<zone>\S.*))?")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::00)?")
_HORIZON = timedelta(days=8)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A daily window of time.

    Attributes
    ----------
    start, end
        Wall-clock times, to the minute; `end` is outside. Where `end` is not after
        `start`, the window crosses midnight. An end at midnight is written 24:00.
    zone
        The time zone; None is the machine's own.
    """

    start: time
    end: time
    zone: ZoneInfo | None = None

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """Read hours such as ``20:00-06:00`` or ``20:00-06:00 Europe/Paris``.

        Raises
        ------
        ValueError
            The text does not say hours; the message shows how they are written.
        """
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(_FORM)
        start, end = parse_clock(match["start"]), parse_clock(match["end"])
        if start == end:
            raise ValueError(f"the window opens and closes at the same time; {_FORM}")
        return cls(start=start, end=end, zone=_zone(match["zone"]) if match["zone"] else None)

    def __str__(self) -> str:
        end = "24:00" if self.end == time(0) else f"{self.end:%H:%M}"
        zone = f" {self.zone.key}" if self.zone else ""
        return f"{self.start:%H:%M}-{end}{zone}"

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
        if when.tzinfo is None:
            raise ValueError("hours need an aware datetime")
        clock = when.astimezone(self.zone).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end

    def next_opening(self, when: datetime) -> datetime:
        """Return the first instant from `when` on that is inside: `when` itself, or a later one.

        Walks through the minutes of UTC, where no minute is missing and none comes twice, so
        that a window that opens inside a daylight saving gap opens at the end of the gap.

        Returns
        -------
        datetime
            In UTC when it is a later one.

        Raises
        ------
        ValueError
            `when` is naive, or the window never opens within eight days.
        """
        if self.contains(when):
            return when
        instant = when.astimezone(UTC).replace(second=0, microsecond=0)
        limit = instant + _HORIZON
        while instant < limit:
            instant += _MINUTE
            if self.contains(instant):
                return instant
        raise ValueError(f"the hours {self} do not open within {_HORIZON.days} days")


def parse_clock(value: object) -> time:
    """Read a time of day: ``20:00``, ``20:00:00``, ``24:00``, or what YAML makes of them.

    YAML 1.1 reads an unquoted ``20:00`` as the number 1200, in base 60, and ``20:00:00`` as
    72000. The first counts minutes; with seconds the number is at least 3600.

    Raises
    ------
    ValueError
        It is no time of day, or not a whole minute.
    """
    hour, minute = -1, -1
    if isinstance(value, str) and (match := _CLOCK.fullmatch(value.strip())):
        hour, minute = int(match[1]), int(match[2])
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        minutes, rest = (value, 0) if value <= 24 * 60 else divmod(value, 60)
        hour, minute = divmod(minutes, 60) if rest == 0 else (-1, -1)
    if (hour, minute) == (24, 0):
        return time(0)
    if not (0 <= hour < 24 and 0 <= minute < 60):
        raise ValueError(f'{value!r} is no time of day; write it as "20:00"')
    return time(hour, minute)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError, see below
        raise ValueError(_unknown_zone(name)) from error
    except KeyError as error:
        raise ValueError(_unknown_zone(name)) from error


def _unknown_zone(name: str) -> str:
    return f"no time zone is named {name!r}; the IANA names are known, such as Europe/Paris or UTC"
