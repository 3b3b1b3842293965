"""Keys of a query as conditions of SQL: which entities of the index may match (PS3.4 C.2.2.2).

A condition here never leaves out what matches; it may let through what does not, and who asks
compares again. Values are bound, and the wildcards of SQL in them are escaped: they are data.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import IntEnum
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, exists, false, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from schema.answering.scope import AnswerScope, visible_images
from schema.answering.tables import IMAGES, PATIENTS, SERIES, STUDIES
from schema.tables.statements import among, is_postgresql


class HeldLevel(IntEnum):
    """A level of what is held (PS3.4 C.3.1), from the top of the hierarchy down."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Among:
    """One of these values, as they are kept."""

    keyword: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Like:
    """Text with wildcards (PS3.4 C.2.2.2.4): one of these.

    Attributes
    ----------
    patterns
        ``*`` is any sequence, ``?`` any one character; everything else is itself, after any
        spaces.
    name
        Whether it is a person's name: letters of ASCII match in either case, and the pattern may
        stand for any of the groups.
    """

    keyword: str
    patterns: tuple[str, ...]
    name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A range of dates, both ends included; None is open."""

    keyword: str
    first: date | None
    last: date | None


Narrowing = Among | Like | Within

_COLUMNS: dict[str, tuple[HeldLevel, Column[Any]]] = {
    "PatientID": (HeldLevel.PATIENT, PATIENTS.c.patient_id),
    "PatientName": (HeldLevel.PATIENT, PATIENTS.c.patient_name),
    "PatientBirthDate": (HeldLevel.PATIENT, PATIENTS.c.patient_birth_date),
    "StudyInstanceUID": (HeldLevel.STUDY, STUDIES.c.study_uid),
    "StudyDate": (HeldLevel.STUDY, STUDIES.c.study_date),
    "AccessionNumber": (HeldLevel.STUDY, STUDIES.c.accession_number),
    "SeriesInstanceUID": (HeldLevel.SERIES, SERIES.c.series_uid),
    "Modality": (HeldLevel.SERIES, SERIES.c.modality),
    "SOPInstanceUID": (HeldLevel.IMAGE, IMAGES.c.image_uid),
    "SOPClassUID": (HeldLevel.IMAGE, IMAGES.c.sop_class_uid),
    "ModalitiesInStudy": (HeldLevel.SERIES, SERIES.c.modality),
    "SOPClassesInStudy": (HeldLevel.IMAGE, IMAGES.c.sop_class_uid),
}

NARROWED = frozenset(_COLUMNS)
"""The keywords that narrow a query in the database; all others take headers to be read."""

_PERSON: dict[str, Column[Any]] = {
    "PatientName": STUDIES.c.patient_name,
    "PatientBirthDate": STUDIES.c.patient_birth_date,
}
"""What tells persons apart who have one Patient ID: of studies and what is below them, by these."""

_ESCAPE = "\\"


_OWN: dict[str, Column[Any]] = {
    "PatientID": IMAGES.c.patient_id,
    "PatientName": IMAGES.c.patient_name,
    "StudyDate": IMAGES.c.study_date,
}
"""What images have of their own of what the rows above them have as well."""

_OF_FIRST = frozenset({"PatientBirthDate", "AccessionNumber"})
"""What rows have of the image that came first, and no image has in a column of its own."""


_FEW = frozenset(
    {"PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"},
)
"""What so few images have that an index finds them at once."""

_TABLES = (PATIENTS, STUDIES, SERIES, IMAGES)
_PARENTS = ("patient_id", "study_id", "series_id")
"""The column of the level below in which each entity's key is."""


def below(level: HeldLevel) -> Select[Any]:
    """Return a query of the images below an entity, within one that is about the entity."""
    images = select(IMAGES.c.id)
    if level is HeldLevel.SERIES:
        images = images.join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
        return images.where(IMAGES.c.series_id == SERIES.c.id).correlate(SERIES)
    images = images.join(SERIES, SERIES.c.id == IMAGES.c.series_id)
    if level is HeldLevel.STUDY:
        return images.where(SERIES.c.study_id == STUDIES.c.id).correlate(STUDIES)
    images = images.join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
    return images.where(STUDIES.c.patient_id == PATIENTS.c.id).correlate(PATIENTS)


def condition(
    session: AsyncSession,
    narrowing: Narrowing,
    level: HeldLevel,
    scopes: Sequence[AnswerScope],
) -> ColumnElement[bool]:
    """Return the condition on an entity of a level, in a query that joins all levels above it.

    What belongs to a level below is met by an entity below which anything visible meets it. Where
    something is hidden, rows do not count that may be made of what is: the images' own columns do.
    """
    home, column = _COLUMNS[narrowing.keyword]
    seen = visible_images(scopes)
    if seen and narrowing.keyword in _OF_FIRST:
        return true()
    if seen and narrowing.keyword in _OWN:
        met = _met(session, narrowing, _OWN[narrowing.keyword])
        return met if level is HeldLevel.IMAGE else _has_images(narrowing, level, met, seen)
    if level > HeldLevel.PATIENT and narrowing.keyword in _PERSON:
        met = _met(session, narrowing, _PERSON[narrowing.keyword])
        # what the images of all others have, each has to be asked
        return _of_above(HeldLevel.STUDY, level, met | STUDIES.c.one_person.is_(false()))
    met = _met(session, narrowing, column)
    if home <= level:
        return _of_above(home, level, met)
    if seen or home is HeldLevel.IMAGE:
        return _has_images(narrowing, level, met, seen)
    return exists(_without_images(home, level).where(met))


def _of_above(home: HeldLevel, level: HeldLevel, met: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that what is above an entity, at its home, meets one.

    Of nested lists: of a join SQLite makes a walk over all entities of the level, in the order in
    which they are wanted.
    """
    for one in range(home, level):
        table, lower = _TABLES[one], _TABLES[one + 1]
        met = lower.c[_PARENTS[one]].in_(select(table.c.id).where(met).correlate(None))
    return met


def _has_images(
    narrowing: Narrowing,
    level: HeldLevel,
    met: ColumnElement[bool],
    seen: Sequence[ColumnElement[bool]],
) -> ColumnElement[bool]:
    """Return the condition that there is an image below an entity which meets one, and is seen."""
    if not isinstance(narrowing, Among) or narrowing.keyword not in _FEW:
        return exists(below(level).where(met, *seen))
    owner = (STUDIES.c.patient_id, SERIES.c.study_id, IMAGES.c.series_id)[level]
    images = select(owner).select_from(IMAGES).join(SERIES, SERIES.c.id == IMAGES.c.series_id)
    images = images.join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
    return _TABLES[level].c.id.in_(images.where(met, *seen).correlate(None))


def _without_images(home: HeldLevel, level: HeldLevel) -> Select[Any]:
    """Return a query of the studies or series below an entity, within one about the entity."""
    if level is HeldLevel.STUDY:
        return select(SERIES.c.id).where(SERIES.c.study_id == STUDIES.c.id).correlate(STUDIES)
    found = select(STUDIES.c.id).where(STUDIES.c.patient_id == PATIENTS.c.id).correlate(PATIENTS)
    return (
        found.join(SERIES, SERIES.c.study_id == STUDIES.c.id) if home is HeldLevel.SERIES else found
    )


def _met(session: AsyncSession, narrowing: Narrowing, column: Column[Any]) -> ColumnElement[bool]:
    if isinstance(narrowing, Among):
        return among(session, column, list(narrowing.values))
    if isinstance(narrowing, Within):
        return _within(narrowing, column)
    if not narrowing.name:
        # spaces before a value do not count: whatever begins so is let through
        patterns = (" *", *narrowing.patterns)
        if is_postgresql(session):
            return or_(*(column.like(_pattern(one), escape=_ESCAPE) for one in patterns))
        # LIKE does not tell capitals from small letters there
        return or_(*(column.op("GLOB")(one.replace("[", "[[]")) for one in patterns))
    # Only letters of ASCII have two cases here, whatever the database's locale says; LIKE of SQLite
    # is so by itself.
    text = func.lower(column.collate("C")) if is_postgresql(session) else column
    return or_(*(text.like(_name(one), escape=_ESCAPE) for one in narrowing.patterns))


def _within(narrowing: Within, column: Column[Any]) -> ColumnElement[bool]:
    met: ColumnElement[bool] = column.is_not(None)
    if narrowing.first is not None:
        met &= column >= datetime.combine(narrowing.first, time())
    if narrowing.last is not None:
        met &= column <= datetime.combine(narrowing.last, time(23, 59, 59))
    return met


def _pattern(text: str) -> str:
    """Return a pattern of LIKE: SQL's own wildcards are ordinary characters of the text."""
    return "".join(map(_part, text))


def _part(character: str) -> str:
    if character in "%_" or character == _ESCAPE:
        return _ESCAPE + character
    return {"*": "%", "?": "_"}.get(character, character)


def _name(text: str) -> str:
    """Return a pattern of LIKE for any group of a name, in small letters.

    A character beyond ASCII is any sequence: its cases are not the database's business. What may
    be anything at the end may also be missing there.
    """
    known = "*=".join(group.rstrip("^ *") for group in text.rstrip("^= *").split("="))
    lower = (one.lower() if one.isascii() else "*" for one in known)
    return f"%{_pattern(''.join(lower))}%"


def narrowed(
    session: AsyncSession,
    narrowings: Iterable[Narrowing],
    level: HeldLevel,
    scopes: Sequence[AnswerScope],
) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of several keys."""
    return [condition(session, one, level, scopes) for one in narrowings]
