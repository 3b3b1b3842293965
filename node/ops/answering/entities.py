"""What the index knows of an entity, as the values of a query's attributes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from node.dicom.querying.header import Attribute, json_tag, meets, texts_of
from node.dicom.querying.levels import LEVELS, TAGS, Level
from node.dicom.querying.matching import matches_all, matches_moment
from node.dicom.querying.question import Question
from node.ops.answering.planning import COUNTED, QueryPlan
from schema.answering.describing import Below, Described
from schema.answering.narrowing import HeldLevel
from schema.header.values import parse_date

Header = Mapping[str, Attribute]

_COUNTS: Mapping[str, Callable[[Below], tuple[str, ...]]] = {
    "NumberOfPatientRelatedStudies": lambda tally: (str(len(tally.studies)),),
    "NumberOfPatientRelatedSeries": lambda tally: (str(tally.series),),
    "NumberOfPatientRelatedInstances": lambda tally: (str(tally.images),),
    "ModalitiesInStudy": lambda tally: tuple(sorted(tally.modalities)),
    "SOPClassesInStudy": lambda tally: tuple(sorted(tally.sop_classes)),
    "NumberOfStudyRelatedSeries": lambda tally: (str(tally.series),),
    "NumberOfStudyRelatedInstances": lambda tally: (str(tally.images),),
    "NumberOfSeriesRelatedInstances": lambda tally: (str(tally.images),),
}

_ONLINE, _UNAVAILABLE = ("ONLINE",), ("UNAVAILABLE",)


def values_of(
    question: Question,
    described: Described,
    counted: Mapping[Level, Mapping[int, Below]],
    header: Header,
) -> dict[str, tuple[str, ...]]:
    """Return the values of what is asked, by keyword; what has none is left out.

    Parameters
    ----------
    counted
        What is below the entity and those above it, by level and key.
    header
        Of the image that stands for it.
    """
    values: dict[str, tuple[str, ...]] = {}
    for keyword in (*question.keys, *question.below, *question.unique_above):
        found = _value(keyword, question, described, counted, header)
        if any(found):
            values[keyword] = found
    if question.availability:
        tally = counted.get(question.level, {}).get(described.keys[HeldLevel(question.level)] or 0)
        here = tally.files == tally.images if tally is not None else described.has_file
        values["InstanceAvailability"] = _ONLINE if here else _UNAVAILABLE
    return values


def _value(
    keyword: str,
    question: Question,
    described: Described,
    counted: Mapping[Level, Mapping[int, Below]],
    header: Header,
) -> tuple[str, ...]:
    if keyword in described.values:
        text = described.values[keyword]
        return () if text is None else tuple(text.split("\\"))
    level = LEVELS[keyword]
    if keyword in COUNTED:
        if level > question.level:
            return ()
        tally = counted.get(level, {}).get(described.keys[HeldLevel(level)] or 0)
        return () if tally is None else _COUNTS[keyword](tally)
    texts = texts_of(header.get(f"{TAGS[keyword]:08X}"))
    if keyword in described.dates:
        return _date(described.dates[keyword], texts)
    return texts


def _date(held: datetime | None, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return a date as the header has it, where it is the one that the row has."""
    if held is None or (texts and parse_date(texts[0]) == held.date()):
        return texts
    return (f"{held:%Y%m%d}",)


def is_match(
    question: Question, plan: QueryPlan, values: Mapping[str, tuple[str, ...]], header: Header
) -> bool:
    """Tell whether an entity is what is asked for; what is below it is not looked at."""
    if not matches_all(plan.compared, values):
        return False
    if not all(meets(tag, key, header.get(json_tag(tag))) for tag, key in question.others.items()):
        return False
    return all(
        matches_moment(
            question.keys[day][0],
            question.keys[clock][0],
            values.get(day, ()),
            values.get(clock, ()),
        )
        for day, clock in plan.moments
    )


def meets_below(keys: Mapping[str, tuple[str, ...]], header: Mapping[str, Any]) -> bool:
    """Tell whether the header of something below an entity meets all keys of its level."""
    return matches_all(
        keys, {keyword: texts_of(header.get(f"{TAGS[keyword]:08X}")) for keyword in keys}
    )
