"""Which found studies are not here yet, at a PACS or anywhere, and in which order."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVarTuple

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from schema.choosing.order import MoveOrder
from schema.header.values import clean_text, key_of
from schema.tables.models import HELD, UNWANTED, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among

Columns = TypeVarTuple("Columns")
"""What a query selects, besides."""

_CLOCKS_DIFFER = timedelta(minutes=2)
"""By how much the clocks of several nodes may."""

_AT_ONCE = 1000
"""Rows that are read together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStudy:
    """A study that is to be moved, in short.

    Attributes
    ----------
    id
        Its key.
    anywhere
        Whether no PACS is known to have it: any may be asked.
    images
        How many it should have; None when nobody knows.
    """

    id: int
    study_uid: str
    anywhere: bool
    images: int | None


async def get_open_studies(
    session: AsyncSession,
    *,
    peer: str,
    study_uids: Sequence[str] | None = None,
    limit: int | None = None,
    by_priority: bool = True,
    order: MoveOrder = MoveOrder.OLDEST,
    held: bool = False,
) -> AsyncIterator[OpenStudy]:
    """Yield the studies that may be moved from a PACS, in their order; parameters as below.

    Parameters
    ----------
    held
        Whether those that an operator holds, or the policy does not want, are among them.
    """
    query = select(
        StudyFind.id,
        StudyFind.study_uid,
        StudyFind.peer.is_(None),
        StudyFind.expected_images,
        StudyFind.priority,
    )
    query = open_at(session, query, peer=peer, study_uids=study_uids, held=held)
    if study_uids is not None and order is MoveOrder.LISTED:
        places = {uid: place for place, uid in enumerate(study_uids)}
        rows = sorted(
            (await session.execute(query)).all(),
            key=lambda row: (-(row.priority or 0) * by_priority, places.get(row.study_uid, 0)),
        )
        for row in rows[:limit]:
            yield _open_study(row)
        return
    query = in_order(query, order=order, by_priority=by_priority).limit(limit)
    async for row in await session.stream(query.execution_options(yield_per=_AT_ONCE)):
        yield _open_study(row)


def _open_study(row: Any) -> OpenStudy:  # noqa: ANN401 - a row
    key, uid, anywhere, images, _ = row
    return OpenStudy(id=key, study_uid=uid, anywhere=anywhere, images=images)


def open_at(
    session: AsyncSession,
    query: Select[*Columns],
    *,
    peer: str | None,
    study_uids: Sequence[str] | None = None,
    due_at: datetime | None = None,
    held: bool = False,
) -> Select[*Columns]:
    """Return a query of found studies, of those that are not here yet.

    Parameters
    ----------
    peer
        Only those that this PACS has, and of which not all that it has is verified to be here; and
        those of which no PACS is known. None: at any.
    study_uids
        Only these; None means all.
    due_at
        Only those for which the PACS, or any, may be asked at this time (naive UTC).
    held
        Whether those that an operator holds are among them.
    """
    query = query.where(StudyFind.retrieved_on.is_(None))
    due = _due(StudyFind.next_attempt_on, due_at)
    if peer is not None:
        name = key_of(clean_text(peer))
        other = aliased(StudySource)
        anywhere = select(other.id).where(other.study_find_id == StudyFind.id)
        is_open = anywhere.where(other.gone_on.is_(None), other.verified_on.is_(None))
        there = select(StudySource.id).where(
            StudySource.study_find_id == StudyFind.id,
            StudySource.peer == name,
            StudySource.gone_on.is_(None),
            # an administrator may have opened the study, and not its sources
            or_(StudySource.verified_on.is_(None), ~is_open.exists()),
            *_due(StudySource.next_attempt_on, due_at),
        )
        unknown = [~anywhere.exists(), _of_nobody_or(peer), *due]
        if not held:
            there = there.where(StudySource.state.not_in((HELD, UNWANTED)))
            unknown.append(StudyFind.state.not_in((HELD, UNWANTED)))
        if due_at is not None:
            there = there.where(StudySource.given_up_on.is_(None))
        query = query.where(or_(there.exists(), and_(*unknown)))
    else:
        query = query.where(*due)
    if study_uids is not None:
        query = query.where(among(session, StudyFind.study_uid, list(study_uids)))
    return query


def in_order(
    query: Select[*Columns], *, order: MoveOrder = MoveOrder.OLDEST, by_priority: bool = True
) -> Select[*Columns]:
    """Return a query of found studies, with these in order: the highest priority first."""
    if by_priority:
        query = query.order_by(StudyFind.priority.desc())
    if order is MoveOrder.OLDEST:
        query = query.order_by(StudyFind.study_date.asc().nulls_last())
    elif order is MoveOrder.NEWEST:
        query = query.order_by(StudyFind.study_date.desc().nulls_last())
    last = StudyFind.id.desc() if order is MoveOrder.NEWEST else StudyFind.id
    return query.order_by(last)


async def studies_by_key(session: AsyncSession, keys: Sequence[int]) -> list[StudyFind]:
    """Return found studies in the order of their keys; those that were removed are left out."""
    query = select(StudyFind).where(among(session, StudyFind.id, list(keys)))
    rows = await session.scalars(query.execution_options(populate_existing=True))
    found = {study.id: study for study in rows}
    return [found[key] for key in keys if key in found]


def _of_nobody_or(peer: str) -> ColumnElement[bool]:
    return or_(StudyFind.peer == clean_text(peer), StudyFind.peer.is_(None))


def _due(
    column: InstrumentedAttribute[datetime | None], at: datetime | None
) -> tuple[ColumnElement[bool], ...]:
    if at is None:
        return ()
    # a row that was written in the future: since then the clock has been set back
    ahead = StudyFind.updated_on > at + _CLOCKS_DIFFER
    return (or_(column.is_(None), column <= at, ahead),)
