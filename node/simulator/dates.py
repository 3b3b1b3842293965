"""What a Study Date or a Study Time key asks for (PS3.4 C.2.2.2.1, C.2.2.2.5)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum


class Shape(Enum):
    """How a date or a time is asked for."""

    ANY = "any"
    """Not at all: universal matching."""
    SINGLE = "single"
    RANGE = "range"
    OPEN = "open"
    """A range without one of its ends."""
    HYPHEN = "hyphen"
    """A range without both, which the standard does not know."""
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySpan:
    """Days that are asked for, both ends included; None is open."""

    shape: Shape
    low: date | None = None
    high: date | None = None

    @property
    def days(self) -> int | None:
        """How many there are; None where nothing limits them."""
        if self.low is None or self.high is None:
            return None
        return max((self.high - self.low).days + 1, 0)

    def contains(self, day: date | None) -> bool:
        """Tell whether a study of that day, or of none, is asked for."""
        if self.shape is Shape.ANY:
            return True
        if day is None or self.shape in (Shape.HYPHEN, Shape.MALFORMED):
            return False
        return (self.low is None or day >= self.low) and (self.high is None or day <= self.high)


def shape_of(values: Sequence[str]) -> Shape:
    """Return how a key asks for dates or times, whatever their ends are."""
    texts = [text for text in (value.strip(" \0") for value in values) if text]
    if not texts:
        return Shape.ANY
    if len(texts) > 1 or re.fullmatch(r"\d{4}-\d{2}-\d{2}", texts[0]):
        return Shape.MALFORMED
    low, hyphen, high = (part.strip() for part in texts[0].partition("-"))
    if not hyphen:
        return Shape.SINGLE
    if low and high:
        return Shape.RANGE
    return Shape.OPEN if low or high else Shape.HYPHEN


def span_of(values: Sequence[str]) -> DaySpan:
    """Return the days that a Study Date key asks for."""
    shape = shape_of(values)
    if shape in (Shape.ANY, Shape.HYPHEN, Shape.MALFORMED):
        return DaySpan(shape=shape)
    low, high = _ends(values)
    try:
        return DaySpan(shape=shape, low=_day(low), high=_day(high))
    except ValueError:
        return DaySpan(shape=Shape.MALFORMED)


def times_of(values: Sequence[str]) -> tuple[str, str] | None:
    """Return the first and last time that a Study Time key asks for, as ``HHMMSS.FFFFFF``.

    Text in this form sorts as time does. None is any time; what makes no sense is a pair that no
    time is between.
    """
    shape = shape_of(values)
    if shape is Shape.ANY:
        return None
    low, high = _ends(values)
    times = [text.replace(":", "") for text in (low, high)]
    pattern = r"|\d{2}|\d{4}|\d{6}(\.\d{1,6})?"
    wrong = shape in (Shape.HYPHEN, Shape.MALFORMED)
    if wrong or not all(re.fullmatch(pattern, text) for text in times):
        return "1", "0"
    return _padded(times[0], "000000.000000"), _padded(times[1], "235959.999999")


def _padded(text: str, full: str) -> str:
    return text + full[len(text) :]


def _ends(values: Sequence[str]) -> tuple[str, str]:
    text = next(value for value in values if value.strip(" \0")).strip(" \0")
    low, hyphen, high = text.partition("-")
    return (low.strip(), high.strip()) if hyphen else (text, text)


def _day(text: str) -> date | None:
    if not text:
        return None
    text = text.replace(".", "") if re.fullmatch(r"\d{4}\.\d{2}\.\d{2}", text) else text
    if not re.fullmatch(r"\d{8}", text):
        raise ValueError(text)
    return date.fromisoformat(text)
