"""How many questions it takes who knows everything: what a find is measured by. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

MINUTES = 1440


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a PACS answers at most: studies, and days; None is any number.

    Attributes
    ----------
    times
        Whether a day can be asked for in times.
    again
        How often a question is asked for one answer, on average.
    """

    cap: int | None = None
    widest: int | None = None
    times: bool = True
    again: float = 1.0


def fewest_questions(
    studies: Iterable[tuple[date, time | None]], start: date, end: date, limits: Limits
) -> float:
    """Return the fewest questions with which all days of a range are covered.

    Windows are packed from the first day on, which no other order beats. A day over the cap is cut
    at minutes; what is over the cap even so takes one question, whatever that brings.

    Parameters
    ----------
    studies
        Date and time of each.
    """
    days: Counter[date] = Counter()
    minutes: dict[date, Counter[int]] = {}
    for day, moment in studies:
        if start <= day <= end:
            days[day] += 1
            if moment is not None:
                minutes.setdefault(day, Counter())[moment.hour * 60 + moment.minute] += 1
    questions = 0
    packed: list[int] = []
    for number in range((end - start).days + 1):
        day = start + timedelta(days=number)
        over = limits.cap is not None and days[day] > limits.cap
        if over:
            questions += _packed(packed, limits.cap, limits.widest)
            packed = []
            cut = minutes.get(day, Counter()) if limits.times else Counter()
            of_day = [cut[minute] for minute in range(MINUTES)]
            questions += _packed(of_day, limits.cap, None) if any(of_day) else 1
        else:
            packed.append(days[day])
    questions += _packed(packed, limits.cap, limits.widest)
    return questions * limits.again


def _packed(counts: Sequence[int], cap: int | None, widest: int | None) -> int:
    """Return how many windows hold these numbers in their order, each at most the cap in all."""
    windows = held = length = 0
    for count in counts:
        full = cap is not None and held + count > cap
        if not windows or full or (widest is not None and length >= widest):
            windows, held, length = windows + 1, 0, 0
        held, length = held + count, length + 1
    return windows
