"""What a generated archive is to hold: the settings below `archive` in a behaviour file."""

import re
from datetime import date
from enum import StrEnum
from functools import partial
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from node.config.sections import Section
from node.config.values import Day, parse_day, section


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a share from 0 to 1 is needed, such as 0.05")
    return float(value)


def _number(least: int, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"a whole number from {least} on is needed")
    return value


Share = Annotated[float, BeforeValidator(_share)]
"""A part of something, from 0 (none) to 1 (all)."""

Number = Annotated[int, BeforeValidator(partial(_number, 0))]
"""How many; none at least."""

Positive = Annotated[int, BeforeValidator(partial(_number, 1))]
"""How many; one at least."""


class SeriesHeld(StrEnum):
    """Which series of each study are there; the others are at another PACS."""

    ALL = "all"
    ODD = "odd"
    EVEN = "even"


class Bursts(Section):
    """Days on which many more studies come, all within some minutes."""

    days: Number = 0
    """How many such days there are."""
    studies: Number = 1000
    """Studies that each of them has beside its usual ones."""
    minutes: Annotated[Positive, Field(le=720)] = 10
    """Within which they come."""


def _text(value: object) -> object:
    """Return a number as it was written: YAML reads 93000 of 093000, which nobody means."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _time(value: object) -> str:
    text = str(_text(value))
    if text in ("none", "spread") or re.fullmatch(r"([01]\d|2[0-3])[0-5]\d[0-5]\d", text):
        return text
    raise ValueError('a time such as "093000" in quotes, spread, or none is needed')


_Date = Annotated[date, BeforeValidator(parse_day)]


class Migrated(Section):
    """Studies that were brought in at once, all under one date."""

    date: _Date = date(1900, 1, 1)
    """Study Date of all of them."""
    studies: Positive
    """How many there are."""
    time: Annotated[str, BeforeValidator(_time)] = "000000"
    """Study Time of all of them; `spread` over the day, or `none`."""


class Population(Section):
    """The studies of a generated archive: the same settings are the same studies."""

    studies: Annotated[Number, Field(le=100_000_000)] = 10_000
    """How many there are, all kinds together."""
    seed: Number = 1
    """Another number is another hospital: nothing is the same in the two."""
    start_date: Day = date(2005, 1, 1)
    """The first day."""
    end_date: Day = date(2024, 12, 31)
    """The last day."""
    weekends: Share = 0.15
    """How much is done on a Saturday or a Sunday, beside a weekday."""
    undated: Number = 0
    """Studies without Study Date and Study Time."""
    nameless: Share = 0.0
    """Studies without Patient's Name."""
    bursts: Annotated[Bursts, BeforeValidator(section)] = Bursts()
    """Days with many more studies than others."""
    migrations: tuple[Migrated, ...] = ()
    """Studies that came from elsewhere under one date, such as 1900-01-01."""
    part: tuple[Share, Share] = (0.0, 1.0)
    """Which of these studies are at this PACS: [0, 0.6] and [0.4, 1] overlap by a fifth."""
    series: SeriesHeld = SeriesHeld.ALL
    """Which series of each study are at this PACS: all, odd or even."""
    image_bytes: tuple[Number, Annotated[Number, Field(le=100_000_000)]] = (200, 4000)
    """Bytes of an image's pixels, from and to; there are some 700 bytes beside them."""

    @property
    def special(self) -> int:
        """How many studies are not those of a usual day."""
        migrated = sum(migration.studies for migration in self.migrations)
        return self.undated + migrated + self.bursts.days * self.bursts.studies

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.start_date is None or self.end_date is None:
            raise ValueError("start_date and end_date are needed")
        if self.end_date < self.start_date:
            raise ValueError("end_date is before start_date")
        if self.special > self.studies:
            raise ValueError(
                f"undated, migrations and bursts make up {self.special} studies, more than the"
                f" {self.studies} of studies"
            )
        if self.bursts.days > (self.end_date - self.start_date).days + 1:
            raise ValueError("bursts.days is more than there are days")
        if self.part[0] >= self.part[1]:
            raise ValueError("part is two shares, the smaller one first, such as [0, 0.6]")
        if self.image_bytes[0] > self.image_bytes[1]:
            raise ValueError("image_bytes is two numbers, the smaller one first: [200, 4000]")
        return self
