"""What a PACS may be asked for now, in order, whatever there is: a page of it costs the same.

A study that waits for its next attempt is no part of the index over what is ready. When its time
has come, `wake` puts it there.
"""

import re
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Select, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from schema.choosing.open_studies import in_order
from schema.choosing.order import MoveOrder
from schema.header.values import clean_text
from schema.moving.senders import peer_key
from schema.tables.columns import CLOCKS_DIFFER
from schema.tables.models import HELD, MOVING, SETTLING, StudyFind
from schema.tables.sources import READY, StudySource
from schema.tables.statements import among

_READY = text(re.sub(r"\b(\w+_on|state)\b", r"study_sources.\1", READY))
"""As `READY`; both tables have such columns."""


async def wake(session: AsyncSession, *, peer: str, now: datetime, longest: timedelta) -> int:
    """Make ready what waits for an attempt at a PACS whose time has come; return how many.

    Parameters
    ----------
    now
        Naive UTC.
    longest
        The longest wait there is: what waits longer was written by a clock that was ahead.
    """
    done = await session.execute(
        update(StudySource)
        .where(
            StudySource.peer == peer_key(peer),
            StudySource.next_attempt_on.is_not(None),
            or_(StudySource.next_attempt_on <= now, StudySource.next_attempt_on > now + longest),
        )
        .values(next_attempt_on=None)
        .returning(StudySource.id)
        .execution_options(synchronize_session=False)
    )
    return len(done.all())


async def count_ready(
    session: AsyncSession, *, peer: str, without: Collection[str] = ()
) -> tuple[int, int]:
    """Return how many studies a PACS may be asked for now, and how many images they have.

    Parameters
    ----------
    without
        Study Instance UIDs that are not counted.
    """
    query = select(func.count(), func.coalesce(func.sum(StudySource.expected_images), 0)).where(
        StudySource.peer == peer_key(peer), _READY
    )
    if without:
        of_others = ~among(session, StudyFind.study_uid, sorted(without))
        query = query.join(StudyFind, StudyFind.id == StudySource.study_find_id).where(of_others)
    count, images = (await session.execute(query)).one()
    return int(count or 0), int(images or 0)


async def next_ready(
    session: AsyncSession,
    *,
    peer: str,
    limit: int,
    without: Collection[str] = (),
    order: MoveOrder = MoveOrder.OLDEST,
    to_claim: bool = False,
) -> list[StudyFind]:
    """Return the studies that a PACS is to be asked for next: the highest priority first.

    Those without a date come first or last, as the database sorts them. Those that another PACS is
    being asked for are left out.

    Parameters
    ----------
    limit
        At most so many.
    without
        Study Instance UIDs that are not to be among them.
    order
        Which of those of one priority comes first.
    to_claim
        Lock them, and pass over those that somebody else has locked: nobody waits for anybody.
    """
    ready = ready_query(peer).execution_options(populate_existing=True)
    if without:
        ready = ready.where(~among(session, StudyFind.study_uid, sorted(without)))
    if to_claim:
        ready = ready.with_for_update(of=(StudyFind, StudySource), key_share=True, skip_locked=True)
    if order is not MoveOrder.NEWEST:
        date = () if order is MoveOrder.LISTED else (StudySource.study_date,)
        query = ready.order_by(StudySource.rank, *date, StudySource.id).limit(limit)
        return list(await session.scalars(query))
    return await _newest(session, ready, peer=peer, limit=limit)


def ready_query(peer: str) -> Select[StudyFind]:
    """Select what a PACS may be asked for now."""
    other = aliased(StudySource)
    elsewhere = select(other.id).where(
        other.study_find_id == StudySource.study_find_id, other.state.in_((MOVING, SETTLING))
    )
    return (
        select(StudyFind)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(StudySource.peer == peer_key(peer), _READY, ~elsewhere.exists())
    )


async def _newest(
    session: AsyncSession, ready: Select[StudyFind], *, peer: str, limit: int
) -> list[StudyFind]:
    """Return a page with the latest dates first: rank by rank, each read backwards in the index.

    There are few ranks, and which is the next one is a single look into the same index.
    """
    studies: list[StudyFind] = []
    ranks = (
        select(StudySource.rank)
        .where(StudySource.peer == peer_key(peer), _READY)
        .order_by(StudySource.rank, StudySource.study_date, StudySource.id)
        .limit(1)
    )
    rank = await session.scalar(ranks)
    while rank is not None:
        page = (
            ready.where(StudySource.rank == rank)
            .order_by(StudySource.study_date.desc(), StudySource.id.desc())
            .limit(limit - len(studies))
        )
        studies += await session.scalars(page)
        if len(studies) >= limit:
            break
        rank = await session.scalar(ranks.where(StudySource.rank > rank))
    return studies


async def without_sources(
    session: AsyncSession, *, peer: str, now: datetime, order: MoveOrder = MoveOrder.OLDEST
) -> list[StudyFind]:
    """Return the studies that are not here, and of which no PACS's word is known.

    Somebody has recorded them, as found at this PACS, or without saying where: any may be asked.
    """
    sources = select(StudySource.id).where(StudySource.study_find_id == StudyFind.id)
    query = (
        select(StudyFind)
        .where(
            StudyFind.retrieved_on.is_(None),
            StudyFind.state != HELD,
            or_(StudyFind.peer.is_(None), StudyFind.peer == clean_text(peer)),
            or_(
                StudyFind.next_attempt_on.is_(None),
                StudyFind.next_attempt_on <= now,
                StudyFind.updated_on > now + CLOCKS_DIFFER,  # the clock has been set back since
            ),
            ~sources.exists(),
        )
        .execution_options(populate_existing=True)
    )
    return list(await session.scalars(in_order(query, order=order)))
