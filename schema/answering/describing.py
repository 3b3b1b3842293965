"""What is known of entities of the index that may match a query: rows, counts and headers.

A page of candidates is one statement: each one's row, what is counted below it, and the attributes
that are asked for of the header that stands for it, that of the image which came first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession

from schema.answering.candidates import joined
from schema.answering.headers import Header, read, taken
from schema.answering.narrowing import HeldLevel
from schema.answering.scope import AnswerScope, visible_images
from schema.answering.tables import IMAGES, PATIENTS, SERIES, STUDIES
from schema.tables.statements import among, is_postgresql


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFacts:
    """What is to be known of entities.

    Attributes
    ----------
    keywords
        Attributes that rows have; others are passed over.
    tags
        Attributes of the header that stands for each, as `Header` has tags.
    modalities, files
        Whether to collect which modalities there are below, and to count which images have a file.
    """

    keywords: Collection[str] = ()
    tags: Sequence[str] = ()
    modalities: bool = False
    files: bool = False


class Below(NamedTuple):
    """What is below an entity, of that which is visible.

    Attributes
    ----------
    images, files
        How many images, and how many of them have a file, where that was wanted.
    """

    studies: int = 0
    series: int = 0
    images: int = 0
    files: int = 0
    modalities: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()


class Described(NamedTuple):
    """An entity, with what its rows say of it and of the levels above.

    Attributes
    ----------
    keys
        Of the entity and of those above it, by level.
    values
        Texts by keyword; what is absent is None.
    dates
        Dates by keyword, where they could be read.
    header
        What was wanted of the header that stands for it; what that lacks is None or absent.
    below
        What is below it; an image is all that is.
    """

    keys: Sequence[int | None]
    values: Mapping[str, str | None]
    dates: Mapping[str, datetime | None]
    header: Header
    below: Below


_FIRST = IMAGES.alias("first_images")
"""The image that stands for an entity."""

_COLUMNS: dict[str, tuple[HeldLevel, Any]] = {
    "PatientID": (HeldLevel.PATIENT, PATIENTS.c.patient_id),
    "StudyInstanceUID": (HeldLevel.STUDY, STUDIES.c.study_uid),
    "StudyDate": (HeldLevel.STUDY, STUDIES.c.study_date),
    "AccessionNumber": (HeldLevel.STUDY, STUDIES.c.accession_number),
    "SeriesInstanceUID": (HeldLevel.SERIES, SERIES.c.series_uid),
    "Modality": (HeldLevel.SERIES, SERIES.c.modality),
    "SOPInstanceUID": (HeldLevel.IMAGE, IMAGES.c.image_uid),
    "SOPClassUID": (HeldLevel.IMAGE, IMAGES.c.sop_class_uid),
    "AvailableTransferSyntaxUID": (HeldLevel.IMAGE, IMAGES.c.transfer_syntax_uid),
}
_PATIENTS_OWN = {
    "PatientName": PATIENTS.c.patient_name,
    "PatientBirthDate": PATIENTS.c.patient_birth_date,
}
"""What an answer at PATIENT level has of the patient's row. Below, a Patient ID may be of two
persons: the name is that of the image that stands for the entity, the birth date its header's."""

_NAME_OF_FIRST = case(
    (STUDIES.c.one_person.is_(true()), STUDIES.c.patient_name), else_=_FIRST.c.patient_name
)
"""The name of the image that stands for a study or series: of most, the study's row has it."""

_DATES = frozenset({"PatientBirthDate", "StudyDate"})
_KEYS = (PATIENTS.c.id, STUDIES.c.id, SERIES.c.id, IMAGES.c.id)


async def described(
    session: AsyncSession,
    level: HeldLevel,
    ids: Sequence[int],
    wanted: WantedFacts,
    *,
    scopes: Sequence[AnswerScope],
) -> list[Described]:
    """Return what is known of entities, in the order of their keys.

    Those that are gone, and those below which nothing is visible, are left out.
    """
    held = _columns(level, wanted.keywords)
    values = [keyword for keyword in held if keyword not in _DATES]
    dates = [keyword for keyword in held if keyword in _DATES]
    columns = [*_KEYS[: level + 1], *(held[keyword] for keyword in (*values, *dates))]
    query: Select[Any]
    if level is HeldLevel.IMAGE:
        query = joined(select(*columns, *taken(session, wanted.tags, IMAGES)), level)
        query = query.add_columns(IMAGES.c.filepath.is_not(None))
    else:
        counted = _counted(session, level, ids, scopes, wanted)
        query = joined(select(*columns, *taken(session, wanted.tags, _FIRST)), level)
        query = query.join(counted, counted.c.owner == _KEYS[level])
        if wanted.tags:
            query = query.join(_FIRST, _FIRST.c.id == counted.c.first)
        elif "PatientName" in held and level > HeldLevel.PATIENT:
            several = STUDIES.c.one_person.is_(false())
            query = query.outerjoin(_FIRST, and_(_FIRST.c.id == counted.c.first, several))
        query = query.add_columns(*(counted.c[name] for name in _COUNTS))
    query = query.where(among(session, _KEYS[level], list(ids))).order_by(_KEYS[level])
    rows = (await session.execute(query)).all()
    keys_end = level + 1
    values_end = keys_end + len(values)
    dates_end = values_end + len(dates)
    counts_begin = dates_end + (1 if wanted.tags else 0)
    return [
        Described(
            row[:keys_end],
            dict(zip(values, row[keys_end:values_end], strict=True)),
            dict(zip(dates, row[values_end:dates_end], strict=True)),
            read(row[dates_end], wanted.tags) if wanted.tags else {},
            _below(row[counts_begin:]),
        )
        for row in rows
    ]


def _columns(level: HeldLevel, keywords: Collection[str]) -> dict[str, Any]:
    """Return the columns that hold these attributes of entities of a level, where there are any."""
    found = {
        keyword: _COLUMNS[keyword][1]
        for keyword in keywords
        if keyword in _COLUMNS and _COLUMNS[keyword][0] <= level
    }
    if level is HeldLevel.PATIENT:
        return found | {key: _PATIENTS_OWN[key] for key in keywords if key in _PATIENTS_OWN}
    if "PatientName" in keywords:
        images_own = level is HeldLevel.IMAGE
        found["PatientName"] = IMAGES.c.patient_name if images_own else _NAME_OF_FIRST
    return found


async def counts_of(
    session: AsyncSession,
    level: HeldLevel,
    ids: Collection[int],
    *,
    scopes: Sequence[AnswerScope],
) -> dict[int, Below]:
    """Return what is below entities, by their keys; one below which nothing is visible has none."""
    counted = _counted(session, level, ids, scopes, WantedFacts(modalities=True))
    query = select(counted.c.owner, *(counted.c[name] for name in _COUNTS))
    return {row[0]: _below(row[1:]) for row in (await session.execute(query)).all()}


async def sop_classes_of(
    session: AsyncSession,
    level: HeldLevel,
    ids: Collection[int],
    *,
    scopes: Sequence[AnswerScope],
) -> dict[int, tuple[str, ...]]:
    """Return the SOP Class UIDs of the images below entities, by their keys."""
    seen = visible_images(scopes)
    owner = _owner(level)
    query = (
        select(owner, IMAGES.c.sop_class_uid)
        .select_from(SERIES)
        .join(IMAGES, IMAGES.c.series_id == SERIES.c.id)
        .where(among(session, _owner(level), sorted(ids)), *seen)
        .distinct()
    )
    if level is HeldLevel.PATIENT or seen:
        query = query.join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
    found: dict[int, list[str]] = {}
    for key, uid in (await session.execute(query)).all():
        if uid:
            found.setdefault(key, []).append(uid)
    return {key: tuple(sorted(uids)) for key, uids in found.items()}


_COUNTS = ("studies", "series", "images", "files", "modalities")


def _owner(level: HeldLevel) -> Column[Any]:
    """Return the key of the entity of a level that a series belongs to."""
    return (STUDIES.c.patient_id, SERIES.c.study_id, SERIES.c.id)[level]


def _counted(
    session: AsyncSession,
    level: HeldLevel,
    ids: Collection[int],
    scopes: Sequence[AnswerScope],
    wanted: WantedFacts,
) -> Subquery:
    """Return what is below entities of a level, a row for each; `first` is the image's key."""
    seen = visible_images(scopes)
    owner = _owner(level)
    nothing: ColumnElement[Any] = func.max(0)
    modalities: ColumnElement[Any] = func.max("[]")
    if wanted.modalities:
        collect = func.json_agg if is_postgresql(session) else func.json_group_array
        modalities = cast(collect(SERIES.c.modality.distinct()), Text)
    query = (
        select(
            owner.label("owner"),
            func.min(IMAGES.c.id).label("first"),
            func.count(SERIES.c.study_id.distinct()).label("studies"),
            func.count(SERIES.c.id.distinct()).label("series"),
            func.count(IMAGES.c.id).label("images"),
            (func.count(IMAGES.c.filepath) if wanted.files else nothing).label("files"),
            modalities.label("modalities"),
        )
        .select_from(SERIES)
        .join(IMAGES, IMAGES.c.series_id == SERIES.c.id)
        .where(among(session, owner, sorted(ids)), *seen)
        .group_by(owner)
    )
    if level is HeldLevel.PATIENT or seen:
        query = query.join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
    return query.subquery()


def _below(counts: Sequence[Any]) -> Below:
    if len(counts) == 1:  # an image
        return Below(1, 1, 1, int(counts[0]))
    studies, series, images, files, modalities = counts
    named = sorted(filter(None, orjson.loads(modalities))) if len(modalities) > 2 else ()
    return Below(studies, series, images, files, tuple(named))


async def first_images(
    session: AsyncSession,
    level: HeldLevel,
    ids: Collection[int],
    *,
    below: HeldLevel,
    scopes: Sequence[AnswerScope],
    most: int,
) -> list[tuple[int, int]]:
    """Return the key of each entity, and of the image that stands for each one of a level below.

    Parameters
    ----------
    most
        At most so many.
    """
    owner: Any = {
        HeldLevel.PATIENT: STUDIES.c.patient_id,
        HeldLevel.STUDY: SERIES.c.study_id,
        HeldLevel.SERIES: SERIES.c.id,
    }[level]
    one: Any = {
        HeldLevel.STUDY: SERIES.c.study_id,
        HeldLevel.SERIES: SERIES.c.id,
        HeldLevel.IMAGE: IMAGES.c.id,
    }[below]
    query = (
        select(owner, func.min(IMAGES.c.id))
        .select_from(SERIES)
        .join(IMAGES, IMAGES.c.series_id == SERIES.c.id)
        .join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
        .where(
            among(session, owner, sorted(ids)),
            *visible_images(scopes),
        )
        .group_by(owner, one)
        .limit(most)
    )
    return [(key, image) for key, image in (await session.execute(query)).all()]
