"""How a question is understood: as it was asked, as another one, or not at all. Pure."""

from dataclasses import dataclass

from pydicom.datadict import dictionary_VR

from node.dicom.querying.levels import TAGS, UNIQUE_KEYS
from node.dicom.querying.matching import WILDCARD_VRS
from node.dicom.querying.question import Question
from node.simulator.dates import DaySpan, Shape, shape_of, span_of
from node.simulator.misbehaving.settings import Handling, ListHandling, Misbehaviour, Then, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What is made of a question.

    Attributes
    ----------
    question
        What the archive is asked; None: nothing, and nothing is found.
    refused
        Whether it is answered with a failure.
    moments
        The first and the last moment that are asked for, as ``YYYYMMDDHHMMSS`` text, where a range
        of dates and one of times are taken together; the archive then is asked for the dates.
    """

    question: Question | None
    refused: bool = False
    moments: tuple[str, str] | None = None


_REFUSED = Understood(question=None, refused=True)
_NOTHING = Understood(question=None)


def understand(question: Question, settings: Misbehaviour) -> Understood:
    """Return what a PACS with these settings makes of a question."""
    for keyword in settings.ignore:
        question = question.asking(keyword)
    if question.level.name not in settings.levels:
        return _REFUSED
    span = span_of(question.values("StudyDate"))
    found = _handlings(question, settings, span)
    if _too_wide(span, question, settings) is Then.REFUSED or Handling.REFUSED in found.values():
        return _REFUSED
    if _too_wide(span, question, settings) is Then.NOTHING or Handling.NOTHING in found.values():
        return _NOTHING
    for keyword, handling in found.items():
        if handling is Handling.IGNORED:
            question = question.asking(keyword)
    question = _first_only(question, settings)
    if settings.times is Times.COMBINED:
        return _combined(question)
    return Understood(question=question)


def _handlings(question: Question, settings: Misbehaviour, span: DaySpan) -> dict[str, Handling]:
    """Return what becomes of each key that is of a kind for which that is said."""
    by_shape = {
        Shape.RANGE: settings.date_ranges,
        Shape.OPEN: settings.open_ranges,
        Shape.HYPHEN: settings.lone_hyphen,
    }
    found = {"StudyDate": by_shape.get(span.shape, Handling.HONEST)}
    if span.shape is Shape.ANY and not question.values("StudyInstanceUID"):
        found["StudyDate"] = settings.no_date
    if shape_of(question.values("StudyTime")) in (Shape.RANGE, Shape.OPEN):
        found["StudyTime"] = settings.time_ranges
    for keyword in question.keys:
        if _has_wildcard(question, keyword):
            found[keyword] = settings.wildcards
    unique = UNIQUE_KEYS[question.level]
    if len(question.values(unique)) > 1 and settings.uid_lists is not ListHandling.FIRST:
        found[unique] = Handling(settings.uid_lists.value)
    return found


def _has_wildcard(question: Question, keyword: str) -> bool:
    """Tell whether a key has a wildcard that matters: a lone one is universal matching."""
    if dictionary_VR(TAGS[keyword]) not in WILDCARD_VRS:
        return False
    values = question.values(keyword)
    return any(value.strip("*") and ("*" in value or "?" in value) for value in values)


def _too_wide(span: DaySpan, question: Question, settings: Misbehaviour) -> Then | None:
    """Tell what happens to a question about too many days; one that names studies is none."""
    widest = settings.widest
    if widest is None or question.values("StudyInstanceUID"):
        return None
    narrow = (Shape.SINGLE, Shape.HYPHEN, Shape.MALFORMED)
    if span.shape in narrow or (span.days is not None and span.days <= widest.days):
        return None
    return widest.then


def _first_only(question: Question, settings: Misbehaviour) -> Question:
    unique = UNIQUE_KEYS[question.level]
    values = question.values(unique)
    if settings.uid_lists is ListHandling.FIRST and len(values) > 1:
        return question.asking(unique, values[0])
    return question


def _combined(question: Question) -> Understood:
    """Take a range of times with a range of dates as one range of moments."""
    dates, times = question.values("StudyDate"), question.values("StudyTime")
    span = span_of(dates)
    if shape_of(times) is not Shape.RANGE or span.low is None or span.high is None:
        return Understood(question=question)
    first, last = times[0].replace(":", "").split("-")
    moments = (f"{span.low:%Y%m%d}{first:0<6.6}", f"{span.high:%Y%m%d}{last:9<6.6}")
    return Understood(question=question.asking("StudyTime"), moments=moments)
