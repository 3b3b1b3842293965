"""The entities of the index that may match a query, by their keys in the order of these."""

from array import array
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.answering.narrowing import HeldLevel, Narrowing, below, narrowed
from schema.answering.scope import AnswerScope, visible_images
from schema.answering.tables import IMAGES, PATIENTS, SERIES, STUDIES

_ENTITIES = {
    HeldLevel.PATIENT: PATIENTS,
    HeldLevel.STUDY: STUDIES,
    HeldLevel.SERIES: SERIES,
    HeldLevel.IMAGE: IMAGES,
}


async def candidates(
    session: AsyncSession,
    level: HeldLevel,
    narrowings: Sequence[Narrowing],
    *,
    scopes: Sequence[AnswerScope],
    after: int = 0,
    most: int,
) -> "array[int]":
    """Return the keys of the entities that may match, in ascending order.

    Parameters
    ----------
    narrowings
        All of them are met.
    scopes
        Of who asks; see `schema.answering.scope`.
    after
        Only keys beyond this one.
    most
        At most so many.
    """
    key = _ENTITIES[level].c.id
    query = joined(select(key), level).where(*narrowed(session, narrowings, level, scopes))
    if seen := _seen(scopes, level):
        query = query.where(*seen)
    query = query.where(key > after).order_by(key).limit(most)
    return array("q", (await session.scalars(query)).all())


async def key_of_entity(
    session: AsyncSession, level: HeldLevel, uid: str, *, scopes: Sequence[AnswerScope]
) -> int | None:
    """Return the key of the visible entity that a unique key names; None where there is none.

    Of several patients with one Patient ID it is the last one.
    """
    named = {
        HeldLevel.PATIENT: PATIENTS.c.patient_id,
        HeldLevel.STUDY: STUDIES.c.study_uid,
        HeldLevel.SERIES: SERIES.c.series_uid,
        HeldLevel.IMAGE: IMAGES.c.image_uid,
    }[level]
    key = _ENTITIES[level].c.id
    query = joined(select(key), level).where(named == uid, *_seen(scopes, level))
    query = query.order_by(key.desc()).limit(1)
    return (await session.scalars(query)).one_or_none()


def joined(query: Select[Any], level: HeldLevel) -> Select[Any]:
    """Return a query of a level's entities with all levels above it beside them."""
    query = query.select_from(_ENTITIES[level])
    if level >= HeldLevel.IMAGE:
        query = query.outerjoin(SERIES, SERIES.c.id == IMAGES.c.series_id)
    if level >= HeldLevel.SERIES:
        query = query.outerjoin(STUDIES, STUDIES.c.id == SERIES.c.study_id)
    if level >= HeldLevel.STUDY:
        query = query.outerjoin(PATIENTS, PATIENTS.c.id == STUDIES.c.patient_id)
    return query


def _seen(scopes: Sequence[AnswerScope], level: HeldLevel) -> list[ColumnElement[bool]]:
    """Return the conditions under which an entity, or anything below it, is visible."""
    conditions = visible_images(scopes)
    if not conditions or level is HeldLevel.IMAGE:
        return conditions
    return [exists(below(level).where(*conditions))]
