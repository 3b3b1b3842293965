"""What is known of entities of the index that may match a query: rows, counts and headers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Text, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from schema.answering.candidates import joined
from schema.answering.narrowing import HeldLevel
from schema.answering.scope import AnswerScope, visible
from schema.tables.models import Image, Patient, Series, Study
from schema.tables.statements import among, is_postgresql

_MOST_ARGUMENTS = 60
"""Attributes that are taken out of a header by the database; of more, it sends the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An entity, with what its rows say of it and of the levels above.

    Attributes
    ----------
    keys
        Of the entity and of those above it, by level.
    values
        Texts by keyword; what is absent is None.
    dates
        Dates by keyword, where they could be read.
    image_id
        The image whose header stands for it, where that is known: an image is its own.
    """

    keys: Mapping[HeldLevel, int | None]
    values: Mapping[str, str | None]
    dates: Mapping[str, datetime | None]
    image_id: int | None = None
    has_file: bool = True


@dataclass(slots=True, kw_only=True)
class Below:
    """What is below an entity, of that which is visible.

    Attributes
    ----------
    first_image
        The key of the image that came first; its header stands for the entity.
    files
        How many of the images have a file.
    """

    studies: set[int] = field(default_factory=set)
    series: int = 0
    images: int = 0
    files: int = 0
    first_image: int = 0
    modalities: set[str] = field(default_factory=set)
    sop_classes: set[str] = field(default_factory=set)


_VALUES: dict[HeldLevel, dict[str, Any]] = {
    HeldLevel.PATIENT: {"PatientID": Patient.patient_id, "PatientName": Patient.patient_name},
    HeldLevel.STUDY: {
        "StudyInstanceUID": Study.study_uid,
        "AccessionNumber": Study.accession_number,
    },
    HeldLevel.SERIES: {"SeriesInstanceUID": Series.series_uid, "Modality": Series.modality},
    HeldLevel.IMAGE: {
        "SOPInstanceUID": Image.image_uid,
        "SOPClassUID": Image.sop_class_uid,
        "AvailableTransferSyntaxUID": Image.transfer_syntax_uid,
    },
}
_DATES: dict[HeldLevel, dict[str, Any]] = {
    HeldLevel.PATIENT: {"PatientBirthDate": Patient.patient_birth_date},
    HeldLevel.STUDY: {"StudyDate": Study.study_date},
    HeldLevel.SERIES: {},
    HeldLevel.IMAGE: {},
}
_KEYS: dict[HeldLevel, Any] = {
    HeldLevel.PATIENT: Patient.id,
    HeldLevel.STUDY: Study.id,
    HeldLevel.SERIES: Series.id,
    HeldLevel.IMAGE: Image.id,
}


async def described(session: AsyncSession, level: HeldLevel, ids: Sequence[int]) -> list[Described]:
    """Return what rows say of entities, in the order of their keys; those that are gone are not."""
    levels = [one for one in HeldLevel if one <= level]
    values = {k: column for one in levels for k, column in _VALUES[one].items()}
    dates = {k: column for one in levels for k, column in _DATES[one].items()}
    columns = [*(_KEYS[one] for one in levels), *values.values(), *dates.values()]
    if level is HeldLevel.IMAGE:
        columns.append(Image.filepath.is_not(None))
    query = joined(select(*columns), level).where(among(session, _KEYS[level], list(ids)))
    query = query.order_by(_KEYS[level])
    keys_end = len(levels)
    values_end = keys_end + len(values)
    dates_end = values_end + len(dates)
    return [
        Described(
            keys=dict(zip(levels, row[:keys_end], strict=True)),
            values=dict(zip(values, row[keys_end:values_end], strict=True)),
            dates=dict(zip(dates, row[values_end:dates_end], strict=True)),
            image_id=row[keys_end - 1] if level is HeldLevel.IMAGE else None,
            has_file=bool(row[-1]) if level is HeldLevel.IMAGE else True,
        )
        for row in (await session.execute(query)).all()
    ]


async def tallies(
    session: AsyncSession,
    level: HeldLevel,
    ids: Collection[int],
    *,
    scopes: Sequence[AnswerScope],
    sop_classes: bool = False,
) -> dict[int, Below]:
    """Return what is below entities, by their keys; one below which nothing is visible has none.

    Parameters
    ----------
    level
        Not that of the images.
    sop_classes
        Whether these are wanted as well.
    """
    owner: Any = {
        HeldLevel.PATIENT: Study.patient_id,
        HeldLevel.STUDY: Series.study_id,
        HeldLevel.SERIES: Series.id,
    }[level]
    seen = visible(scopes, study_uid=Study.study_uid, modality=Series.modality)
    query = (
        select(
            owner,
            Series.study_id,
            Series.modality,
            func.count(Image.id),
            func.count(Image.filepath),
            func.min(Image.id),
        )
        .select_from(Series)
        .join(Image, Image.series_id == Series.id)
        .group_by(Series.id, Series.study_id, Series.modality, owner)
    )
    if level is HeldLevel.PATIENT or seen:
        query = query.join(Study, Study.id == Series.study_id)
    query = query.where(among(session, owner, sorted(ids)), *seen)
    found: dict[int, Below] = {}
    for key, study, modality, images, files, first in (await session.execute(query)).all():
        tally = found.setdefault(key, Below())
        tally.studies.add(study)
        tally.series += 1
        tally.images += images
        tally.files += files
        tally.first_image = min(tally.first_image or first, first)
        if modality:
            tally.modalities.add(modality)
    if sop_classes and found:
        distinct = (
            select(owner, Image.sop_class_uid)
            .select_from(Series)
            .join(Image, Image.series_id == Series.id)
            .where(among(session, owner, sorted(ids)), *seen)
            .distinct()
        )
        if level is HeldLevel.PATIENT or seen:
            distinct = distinct.join(Study, Study.id == Series.study_id)
        for key, uid in (await session.execute(distinct)).all():
            if uid and key in found:
                found[key].sop_classes.add(uid)
    return found


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
        HeldLevel.PATIENT: Study.patient_id,
        HeldLevel.STUDY: Series.study_id,
        HeldLevel.SERIES: Series.id,
    }[level]
    one: Any = {
        HeldLevel.STUDY: Series.study_id,
        HeldLevel.SERIES: Series.id,
        HeldLevel.IMAGE: Image.id,
    }[below]
    query = (
        select(owner, func.min(Image.id))
        .select_from(Series)
        .join(Image, Image.series_id == Series.id)
        .join(Study, Study.id == Series.study_id)
        .where(
            among(session, owner, sorted(ids)),
            *visible(scopes, study_uid=Study.study_uid, modality=Series.modality),
        )
        .group_by(owner, one)
        .limit(most)
    )
    return [(key, image) for key, image in (await session.execute(query)).all()]


async def headers(
    session: AsyncSession, image_ids: Collection[int], tags: Sequence[str]
) -> dict[int, Mapping[str, Any]]:
    """Return the attributes of images' headers, as DICOM JSON (PS3.18 F.2), by the images' keys.

    Parameters
    ----------
    tags
        Of the attributes, as eight hexadecimal digits in capitals; what a header lacks is absent.
    """
    if not image_ids or not tags:
        return {}
    where = among(session, Image.id, sorted(image_ids))
    if len(tags) > _MOST_ARGUMENTS:
        rows = await session.execute(select(Image.id, cast(Image.meta, Text)).where(where))
        wanted = frozenset(tags)
        return {
            id_: {tag: value for tag, value in orjson.loads(text).items() if tag in wanted}
            for id_, text in rows.all()
            if text
        }
    taken: Any
    if is_postgresql(session):
        meta = cast(Image.meta, JSONB)
        taken = cast(func.jsonb_build_array(*(meta.op("->")(tag) for tag in tags)), Text)
    else:
        # With a single path the function returns no array, so there is always a second one.
        paths = [f'$."{tag}"' for tag in (*tags, "none")]
        taken = func.json_extract(cast(Image.meta, Text), *paths)
    found = await session.execute(select(Image.id, taken).where(where))
    return {
        id_: {
            tag: value
            for tag, value in zip(tags, orjson.loads(text), strict=False)
            if value is not None
        }
        for id_, text in found.all()
        if text
    }
