"""Durations as people write them: in settings and at the command line."""

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")

LONGEST = 36525 * _UNITS["d"]
"""Seconds: a hundred years. A date that lies so far from today, or twice as far, is one still."""


class Duration(float):
    """A duration: a number of seconds that remembers how to write itself.

    Reads ``90``, ``90s``, ``10m``, ``1h30m``, ``7d``, ``2w``; up to `LONGEST`.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> "Duration":
        """Read a duration.

        Raises
        ------
        ValueError
            It is none, or too long; the message shows how durations are written, or the most.
        """
        seconds = _seconds(value)
        if seconds is None or not seconds >= 0:
            raise ValueError(
                'a duration is needed: "90s", "10m", "1h", "7d", or a number of seconds'
            )
        return cls(_not_too_long(seconds))

    @property
    def text(self) -> str:
        """How a person would write it: ``1h``, ``90s``."""
        if self and self.is_integer():
            for unit in "wdhms":
                if unit != "w" and not self % _UNITS[unit]:
                    return f"{int(self) // _UNITS[unit]}{unit}"
        return f"{float(self):g}s"

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(cls.parse)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _finite(value)
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    parts = _PART.findall(text)
    if parts and not _PART.sub("", text).strip():
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        return _finite(float(text))
    except ValueError:
        return None


def _finite(number: float) -> float | None:
    """Return a number; None for one that is written as infinite, or not as a number."""
    try:
        seconds = float(number)
    except OverflowError:  # of a whole number: it is one, and too large
        return math.inf if number > 0 else -math.inf
    return seconds if math.isfinite(seconds) else None


def _not_too_long(seconds: float) -> float:
    """Return seconds, unless they are more than what dates can be moved by."""
    if seconds > LONGEST:
        raise ValueError(
            f"no duration may be longer than {LONGEST // _UNITS['d']}d, a hundred years"
        )
    return seconds


def _positive(value: object) -> Duration:
    duration = Duration.parse(value)
    if not duration:
        raise ValueError("a duration longer than nothing is needed, such as 30s")
    return duration


def whole_days(value: object) -> Duration:
    """Read a number of days, since study dates have no hours.

    Raises
    ------
    ValueError
        It is not one or more whole days or weeks, or it is too long.
    """
    seconds = _seconds(value)
    if seconds is not None and seconds > 0:
        seconds = _not_too_long(seconds)
    if seconds is None or seconds <= 0 or seconds % _UNITS["d"]:
        raise ValueError('one or more whole days or weeks are needed, such as "7d" or "2w"')
    return Duration(seconds)


def _interval(value: object) -> Duration | None:
    """Read how often something happens; ``off`` and false are never."""
    if value is None or value is False or (isinstance(value, str) and _is_off(value)):
        return None
    return _positive(value)


def _is_off(text: str) -> bool:
    return text.strip().lower() in ("", "off", "never", "no", "false")


Days = Annotated[Duration, BeforeValidator(whole_days)]
Deadline = Annotated[Duration, BeforeValidator(_positive)]
Interval = Annotated[Duration | None, BeforeValidator(_interval)]
