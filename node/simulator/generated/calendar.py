"""How many studies there are on each day, which gives every study its number.

Studies are numbered in the order of their dates, and within a day of their times; those without a
date come last. A block is what is alike in one stretch of numbers.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from node.simulator.chance import mixed
from node.simulator.dates import DaySpan, Shape
from node.simulator.generated.population import Population

_GROWTH = 3.0
"""How many times the studies of the first day there are on the last."""

_DAY = 24 * 3600

_WORKING_DAY = (
    # the part of a day's studies that has been made at which second
    (0.00, 0),
    (0.03, 6 * 3600),
    (0.12, 8 * 3600),
    (0.52, 12 * 3600),
    (0.84, 16 * 3600),
    (0.95, 20 * 3600),
    (1.00, _DAY),
)


@dataclass(frozen=True, slots=True)
class Block:
    """Studies with consecutive numbers, of one day or of none.

    Attributes
    ----------
    day
        Study Date; None for those that have none.
    first, count
        The number of the first one, and how many there are.
    hours
        The seconds of the day between which they are spread evenly; None: over a working day.
    timed
        Whether they have a Study Time.
    """

    day: date | None
    first: int
    count: int
    hours: tuple[int, int] | None = None
    timed: bool = True

    @property
    def numbers(self) -> range:
        """The numbers of its studies."""
        return range(self.first, self.first + self.count)

    def time(self, number: int, jitter: float) -> str:
        """Return a study's time as HHMMSS: later numbers are never earlier.

        Parameters
        ----------
        jitter
            From 0 up to 1: where the study is within its own share of the day.
        """
        part = (number - self.first + jitter) / self.count
        if self.hours is None:
            second = _at(part)
        else:
            low, high = self.hours
            second = low + int((high - low) * part)
        minutes, second = divmod(min(second, _DAY - 1), 60)
        return f"{minutes // 60:02}{minutes % 60:02}{second:02}"


class Timetable:
    """All blocks of a population, in the order of their numbers."""

    def __init__(self, population: Population) -> None:
        blocks = [*_usual(population), *_bursts(population), *_migrated(population)]
        blocks.sort(key=lambda block: block.day or date.min)  # the usual ones first, within a day
        if population.undated:
            blocks.append(Block(None, 0, population.undated, timed=False))
        self._blocks: list[Block] = []
        number = 0
        for block in blocks:
            numbered = Block(block.day, number, block.count, block.hours, block.timed)
            self._blocks.append(numbered)
            number += block.count
        self.studies = number
        self._firsts = array("L", [block.first for block in self._blocks])
        self._days = [block.day for block in self._blocks if block.day is not None]

    def block_of(self, number: int) -> Block:
        """Return the block in which a study is."""
        return self._blocks[bisect_right(self._firsts, number) - 1]

    def within(self, span: DaySpan) -> Sequence[Block]:
        """Return the blocks of the days that are asked for."""
        if span.shape is Shape.ANY:
            return self._blocks
        if span.shape in (Shape.HYPHEN, Shape.MALFORMED):
            return ()
        low = 0 if span.low is None else bisect_left(self._days, span.low)
        high = len(self._days) if span.high is None else bisect_right(self._days, span.high)
        return self._blocks[low:high]


def _usual(population: Population) -> list[Block]:
    """Spread what is nothing special over all days: unevenly, and exactly as many as there are."""
    days = _days(population)
    weights = [_weight(day, population) for day in days]
    whole = math.fsum(weights) or 1.0
    count = population.studies - population.special
    blocks: list[Block] = []
    so_far, given = 0.0, 0
    for place, (day, weight) in enumerate(zip(days, weights, strict=True)):
        so_far += weight
        until = count if place == len(days) - 1 else min(round(count * so_far / whole), count)
        if until > given:
            blocks.append(Block(day, 0, until - given))
        given = until
    return blocks


def _weight(day: date, population: Population) -> float:
    start, end = population.start_date or day, population.end_date or day
    age = (day - start).days / max((end - start).days, 1)
    chance = mixed(day.toordinal(), population.seed) / (1 << 64)
    weight = (1 + (_GROWTH - 1) * age) * (0.6 + 0.8 * chance)
    if day.weekday() >= 5:
        weight *= population.weekends
    return weight * (0.1 if (day.month, day.day) in ((1, 1), (12, 25)) else 1)


def _bursts(population: Population) -> list[Block]:
    bursts = population.bursts
    if not bursts.studies:
        return []
    drawn = sorted(_days(population), key=lambda day: mixed(day.toordinal(), ~population.seed))
    blocks = []
    for day in drawn[: bursts.days]:
        start = 8 * 3600 + mixed(day.toordinal(), population.seed + 1) % (4 * 3600)
        blocks.append(Block(day, 0, bursts.studies, (start, start + 60 * bursts.minutes)))
    return blocks


def _migrated(population: Population) -> list[Block]:
    blocks = []
    for migration in population.migrations:
        hours = None
        if migration.time not in ("spread", "none"):
            hour, minute, second = (int(migration.time[n : n + 2]) for n in (0, 2, 4))
            hours = (at := 3600 * hour + 60 * minute + second, at)
        timed = migration.time != "none"
        blocks.append(Block(migration.date, 0, migration.studies, hours, timed))
    return blocks


def _days(population: Population) -> list[date]:
    start, end = population.start_date, population.end_date
    if start is None or end is None:  # pragma: no cover - the settings have refused it
        return []
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


def _at(part: float) -> int:
    """Return the second of a working day at which this part of its studies has been made."""
    for (before, low), (after, high) in pairwise(_WORKING_DAY):
        if part < after:
            return low + int((high - low) * (part - before) / (after - before))
    return _DAY - 1
