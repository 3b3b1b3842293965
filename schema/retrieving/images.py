"""Which images a retrieval sends: those that its unique keys name, and its caller may see.

The index files an image under the study and patient of its series, which may be others than its own
header names (`images.flag`). A query lists it there, so it is sent for these, and for its own too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from schema.answering.candidates import joined
from schema.answering.narrowing import HeldLevel
from schema.answering.scope import AnswerScope, visible
from schema.header.values import clean_text
from schema.inventory import HELD_COLUMNS, Held
from schema.tables.models import Image, Patient, Series, Study
from schema.tables.statements import KeyColumn, among

_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalKeys:
    """The unique keys of a retrieval (PS3.4 C.4.2.2.1); one without values asks nothing.

    Attributes
    ----------
    patient_ids, study_uids
        Of the images' own headers, or of the study, and its patient, under which they are filed.
    series_uids
        Of the series under which they are filed; it is that of their headers.
    """

    patient_ids: Sequence[str] = ()
    study_uids: Sequence[str] = ()
    series_uids: Sequence[str] = ()
    image_uids: Sequence[str] = ()


async def wanted_images(
    session: AsyncSession,
    wanted: RetrievalKeys,
    *,
    scopes: Sequence[Sequence[AnswerScope]] = (),
    most: int,
) -> list[Held] | None:
    """Return the images that are wanted, study by study and series by series, as they came.

    Parameters
    ----------
    scopes
        An image has to be visible by each of these: of who asks, and of who is sent to. It is
        by its own header, and by the study and series under which it is filed.
    most
        How many there may be.

    Returns
    -------
    list[Held] or None
        Those whose file is gone, or that never had one, are among them. None when there are more
        than `most`.
    """
    conditions = [
        *_keys(session, wanted),
        *(condition for one in scopes for condition in _visible(one)),
    ]
    # without an ORDER BY, which would have PostgreSQL walk through the table by its key
    columns: tuple[Any, ...] = (Image.id, Image.study_uid, Image.series_uid)
    query = joined(select(*columns), HeldLevel.IMAGE)
    query = query.where(*conditions).limit(most + 1)
    keys = (await session.execute(query)).all()
    if len(keys) > most:
        return None
    ordered = [row for *_, row in sorted((one[1] or "", one[2] or "", one[0]) for one in keys)]
    images: list[Held] = []
    for start in range(0, len(ordered), _PAGE):
        page = ordered[start : start + _PAGE]
        rows = await session.execute(select(*HELD_COLUMNS).where(among(session, Image.id, page)))
        held = {row["id"]: Held(**row) for row in rows.mappings()}
        images += [held[key] for key in page if key in held]
    return images


async def count_images(session: AsyncSession, wanted: RetrievalKeys, *, most: int) -> int:
    """Return how many images are wanted, whoever may see them; `most` of them are counted."""
    images = joined(select(Image.id), HeldLevel.IMAGE)
    images = images.where(*_keys(session, wanted)).limit(most)
    return await session.scalar(select(func.count()).select_from(images.subquery())) or 0


def _visible(scopes: Sequence[AnswerScope]) -> list[ColumnElement[bool]]:
    filed = visible(scopes, study_uid=Study.study_uid, modality=Series.modality)
    return [*visible(scopes), *filed]


def _keys(session: AsyncSession, wanted: RetrievalKeys) -> list[ColumnElement[bool]]:
    """Return the conditions on images, beside which there is all that is above them.

    Those of the lowest level that is named are such that the database finds the images by an index;
    an OR over two tables would have it read all of them.
    """
    images, series, studies, patients = (
        [clean_text(one) for one in values]
        for values in (
            wanted.image_uids,
            wanted.series_uids,
            wanted.study_uids,
            wanted.patient_ids,
        )
    )
    conditions: list[ColumnElement[bool]] = []
    if images:
        conditions.append(among(session, Image.image_uid, images))
    if series:
        named = select(Series.id).where(among(session, Series.series_uid, series))
        conditions.append(Image.series_id.in_(named))
    both: tuple[tuple[KeyColumn, KeyColumn, list[str]], ...] = (
        (Image.study_uid, Study.study_uid, studies),
        (Image.patient_id, Patient.patient_id, patients),
    )
    for own, filed, values in both:
        if not values:
            continue
        if conditions:
            conditions.append(or_(among(session, own, values), among(session, filed, values)))
        else:
            conditions.append(Image.id.in_(_either(session, own, filed, values)))
    return conditions


def _either(
    session: AsyncSession, own: KeyColumn, filed: KeyColumn, values: list[str]
) -> CompoundSelect[Any]:
    """Return the images of which one column or the other has one of the values."""
    below = select(Series.id).join(Study, Study.id == Series.study_id)
    if filed is Patient.patient_id:
        below = below.join(Patient, Patient.id == Study.patient_id)
    below = below.where(among(session, filed, values)).correlate(None)
    return union(
        select(Image.id).where(among(session, own, values)).correlate(None),
        select(Image.id).where(Image.series_id.in_(below)).correlate(None),
    )
