"""What the index knows of an entity, as the values of a query's attributes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from node.dicom.querying.header import json_tag, meets, texts_of
from node.dicom.querying.levels import LEVELS, TAGS, Level
from node.dicom.querying.matching import matches_all, matches_moment
from node.dicom.querying.question import Question
from node.ops.answering.planning import COUNTED, DATES, QueryPlan, columns_of
from schema.answering.describing import Below, Described
from schema.answering.headers import Header
from schema.header.values import parse_date

_COUNTS: Mapping[str, Callable[[Below], tuple[str, ...]]] = {
    "NumberOfPatientRelatedStudies": lambda below: (str(below.studies),),
    "NumberOfPatientRelatedSeries": lambda below: (str(below.series),),
    "NumberOfPatientRelatedInstances": lambda below: (str(below.images),),
    "ModalitiesInStudy": lambda below: below.modalities,
    "SOPClassesInStudy": lambda below: below.sop_classes,
    "NumberOfStudyRelatedSeries": lambda below: (str(below.series),),
    "NumberOfStudyRelatedInstances": lambda below: (str(below.images),),
    "NumberOfSeriesRelatedInstances": lambda below: (str(below.images),),
}

_NOTHING = Below()

_ONLINE, _UNAVAILABLE = ("ONLINE",), ("UNAVAILABLE",)


class EntityReader:
    """Reads the values of what a question asks; decided once, for thousands of entities.

    Parameters
    ----------
    question
        What is asked.
    restricted
        See `node.ops.answering.planning.plan_of`.
    """

    def __init__(self, question: Question, *, restricted: bool = False) -> None:
        self._availability = question.availability
        wanted = dict.fromkeys((*question.keys, *question.below, *question.unique_above))
        # Something below has what was asked for; the first image may well have something else.
        self._asked_below = {k: v for k, v in question.below.items() if any(v)}
        held = set(columns_of(question.level, restricted=restricted))
        self._columns = [keyword for keyword in wanted if keyword in held]
        counts = [k for k in wanted if k in COUNTED and LEVELS[k] <= question.level]
        own = [k for k in counts if LEVELS[k] is question.level and k != "SOPClassesInStudy"]
        self._own_counts = [(keyword, _COUNTS[keyword]) for keyword in own]
        self._counts_above = [(k, LEVELS[k], _COUNTS[k]) for k in counts if k not in own]
        rest = [k for k in wanted if k not in held and k not in COUNTED]
        self._headers = [
            (keyword, json_tag(TAGS[keyword])) for keyword in rest if keyword not in DATES
        ]
        self._dates = [(keyword, json_tag(TAGS[keyword])) for keyword in rest if keyword in DATES]

    def values(
        self, described: Described, above: Mapping[Level, Mapping[int, Below]]
    ) -> dict[str, tuple[str, ...]]:
        """Return the values of what is asked, by keyword; what has none is left out.

        Parameters
        ----------
        above
            What is below entities of other levels, by level and key; and what else is known of the
            entity's own.
        """
        keys, held, dates, header, below = described
        values: dict[str, tuple[str, ...]] = {}
        for keyword in self._columns:
            if text := held[keyword]:
                values[keyword] = (text,) if "\\" not in text else tuple(text.split("\\"))
        for keyword, tag in self._headers:
            if (attribute := header.get(tag)) is not None and (texts := texts_of(attribute)):
                values[keyword] = texts
        for keyword, tag in self._dates:
            if texts := _date(dates.get(keyword), texts_of(header.get(tag))):
                values[keyword] = texts
        for keyword, count in self._own_counts:
            if found := count(below):
                values[keyword] = found
        for keyword, level, count in self._counts_above:
            if found := count(above[level].get(keys[level] or 0, _NOTHING)):
                values[keyword] = found
        if self._availability:
            here = below.files == below.images
            values["InstanceAvailability"] = _ONLINE if here else _UNAVAILABLE
        return self._with_asked_below(values) if self._asked_below else values

    def _with_asked_below(self, values: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Say of what is below what was asked for: that is there, whatever the first image has."""
        for keyword, asked in self._asked_below.items():
            values.pop(keyword, None)
            if len(asked) == 1 and not ("*" in asked[0] or "?" in asked[0]):
                values[keyword] = asked
        return values


def _date(held: datetime | None, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return a date as the header has it, where it is the one that the row has."""
    if held is None:
        return texts
    day = _day(held)
    if texts and (texts[0] == day[0] or parse_date(texts[0]) == held.date()):
        return texts
    return day


@lru_cache(maxsize=4096)
def _day(held: datetime) -> tuple[str]:
    """Return a date as DICOM writes it: of thousands of studies many are of one day."""
    return (f"{held:%Y%m%d}",)


def is_match(
    question: Question, plan: QueryPlan, values: Mapping[str, tuple[str, ...]], header: Header
) -> bool:
    """Tell whether an entity is what is asked for; what is below it is not looked at."""
    if not matches_all(plan.compared, values):
        return False
    available = values.get("InstanceAvailability", ())
    if question.available and not set(question.available) & set(available):
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
