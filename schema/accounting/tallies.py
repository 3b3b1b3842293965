"""How many studies each PACS has answered, and where they stand: from one index, without a join.

Of a million studies `status` has a part of a second for this. A study that has one source is
counted from that alone; the others, and those without any, are looked at apart.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from schema.accounting.tally import COUNTS, PeerTally, added
from schema.engine.either import either
from schema.tables.columns import utcnow
from schema.tables.models import (
    EMPTY,
    FAILED,
    HELD,
    MOVING,
    PARTIAL,
    PENDING,
    SETTLING,
    UNWANTED,
    StudyFind,
)
from schema.tables.sources import StudySource
from schema.tables.statements import among

_TOLD = func.coalesce(
    func.nullif(StudySource.expected_images, 0), func.nullif(StudySource.counted_images, 0)
)
"""How many images a PACS has of a study; NULL when nobody knows."""

ASKED = frozenset((PENDING, PARTIAL, EMPTY, FAILED))
"""The states in which a PACS is asked for a study: as `schema.tables.sources.READY` has it."""

_BUSY = frozenset((MOVING, SETTLING))

_THERE = StudySource.gone_on.is_(None)
_OPEN = and_(_THERE, StudySource.verified_on.is_(None))


async def one_view(session: AsyncSession) -> None:
    """Have all that follows in a new session see the database as it is now.

    SQLite does so of itself: its transaction begins with the first statement.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(
            text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
        )


@either
async def is_known(session: AsyncSession, peer: str) -> bool:
    """Tell whether any study is known that a PACS has, or had."""
    for query in (
        select(StudySource.id).where(StudySource.peer == peer),
        select(StudyFind.id).where(StudyFind.peer == peer),
    ):
        if await session.scalar(query.limit(1)) is not None:
            return True
    return False


@either
async def tally_peers(
    session: AsyncSession,
    study_uids: Collection[str] | None = None,
    *,
    known: int | None = None,
    sources: Mapping[str | None, PeerTally] | None = None,
    now: datetime | None = None,
) -> list[PeerTally]:
    """Count the found studies of each PACS that has answered them, by its name.

    A study that several have counts for each of them.

    Parameters
    ----------
    study_uids
        Only these; None means all.
    known
        How many studies there are, where that was counted in the same view of the database.
    sources
        What `tally_sources` has counted in it.
    now
        What is due by then may be asked for, naive UTC; None is the clock's.
    """
    now = now or utcnow()
    if study_uids is not None:
        return _sorted(await _of_some(session, study_uids))
    tallies = dict(await tally_sources(session, now=now) if sources is None else sources)
    if known is None:
        known = int(await session.scalar(select(func.count()).select_from(StudyFind)) or 0)
    with_source = await _with_source(session, tallies)
    if known != with_source:
        for one in await _without_sources(session):
            before = tallies.get(one.peer)
            tallies[one.peer] = one if before is None else added(before, one)
    if sum(one.found + one.gone for one in tallies.values()) != known:
        for more in await _of_several(session, now):
            summed = added(tallies[more.peer], more)
            if more.waiting:  # the first that was due may be among those
                summed = replace(summed, next_on=await _next_on(session, summed.peer, now))
            tallies[more.peer] = summed
    return _sorted(tallies.values())


def _sorted(tallies: Iterable[PeerTally]) -> list[PeerTally]:
    # databases sort names by rules of their own
    return sorted(tallies, key=lambda tally: (tally.peer is None, tally.peer or ""))


async def tally_sources(session: AsyncSession, *, now: datetime) -> dict[str | None, PeerTally]:
    """Count all sources as if each study had only one: the long part of `tally_peers`."""
    tallies: dict[str | None, PeerTally] = {}
    # two passes in which each row is counted once are faster than one with conditions
    closed = (
        select(StudySource.peer, StudySource.state, func.count(), func.count(StudySource.gone_on))
        .where(~_OPEN)
        .group_by(StudySource.peer, StudySource.state)
    )
    for peer, state, count, gone in await session.execute(closed):
        here = count - gone
        states = {state: here} if here else {}
        one = PeerTally(peer=peer, found=here, complete=here, gone=gone, states=states)
        tallies[peer] = added(tallies[peer], one) if peer in tallies else one
    still_open = (
        select(StudySource.peer, StudySource.state, *_counts(now))
        .where(_OPEN)
        .group_by(StudySource.peer, StudySource.state)
    )
    for peer, state, *counts in await session.execute(still_open):
        one = _queue(peer, state, counts)
        one = replace(one, found=counts[0], states={state: counts[0]})
        tallies[peer] = added(tallies[peer], one) if peer in tallies else one
    return tallies


def _counts(now: datetime) -> tuple[Any, ...]:
    """Return what is counted of open sources, as `_queue` takes it."""
    given_up = StudySource.given_up_on.is_not(None)  # of these there are few
    waits = and_(~given_up, StudySource.next_attempt_on > now)
    return (
        func.count(),
        func.count(StudySource.given_up_on),
        func.count().filter(waits),
        func.min(StudySource.next_attempt_on).filter(waits),
        func.count(_TOLD),
        func.sum(_TOLD),
        func.count(_TOLD).filter(given_up),
        func.sum(_TOLD).filter(given_up),
    )


def _queue(peer: str, state: str, counts: Sequence[Any]) -> PeerTally:
    """Return open sources of one state as a tally that is added to another."""
    count, given_up, waiting, next_on, told, images, told_given_up, images_given_up = counts
    if state == UNWANTED:
        return PeerTally(peer=peer, found=0, complete=0, unwanted=count)
    asked = state in ASKED
    comes = asked or state in _BUSY
    coming = count - given_up if comes else 0
    return PeerTally(
        peer=peer,
        found=0,
        complete=0,
        ready=count - given_up - waiting if asked else 0,
        waiting=waiting if asked else 0,
        given_up=given_up if asked else 0,
        next_on=next_on if asked else None,
        images=int(images or 0),
        unknown=count - told,
        coming=coming,
        coming_images=int(images or 0) - int(images_given_up or 0) if comes else 0,
        coming_unknown=coming - (told - told_given_up) if comes else 0,
    )


async def _with_source(session: AsyncSession, tallies: Mapping[str | None, PeerTally]) -> int:
    """Return how many studies have a source."""
    if len(tallies) < 2:  # a PACS has one source of a study
        return sum(one.found + one.gone for one in tallies.values())
    distinct = select(StudySource.study_find_id).distinct().subquery()
    return int(await session.scalar(select(func.count()).select_from(distinct)) or 0)


async def _without_sources(session: AsyncSession) -> list[PeerTally]:
    """Count the studies that somebody has recorded, and no PACS has answered."""
    sources = select(StudySource.id).where(StudySource.study_find_id == StudyFind.id)
    unwanted = and_(StudyFind.retrieved_on.is_(None), StudyFind.state == UNWANTED)
    left = and_(StudyFind.retrieved_on.is_(None), StudyFind.state != UNWANTED)
    query = (
        select(
            StudyFind.peer,
            func.count(),
            func.count(StudyFind.retrieved_on),
            func.count().filter(unwanted),
            func.coalesce(func.sum(StudyFind.expected_images).filter(left), 0),
            func.count().filter(left, func.coalesce(StudyFind.expected_images, 0) == 0),
        )
        .where(~sources.exists())
        .group_by(StudyFind.peer)
    )
    return [
        PeerTally(
            peer=peer,
            found=found,
            complete=complete,
            unwanted=unwanted,
            images=int(images or 0),
            unknown=unknown,
        )
        for peer, found, complete, unwanted, images, unknown in await session.execute(query)
    ]


def _several() -> Any:  # noqa: ANN401 - a subquery
    """Select the studies that several PACSs have, or had."""
    return (
        select(StudySource.study_find_id.label("study"))
        .group_by(StudySource.study_find_id)
        .having(func.count() > 1)
        .subquery()
    )


async def _of_several(session: AsyncSession, now: datetime) -> list[PeerTally]:
    """Return what is to be added for open sources of studies that several PACSs have.

    Those of studies that are closed all the same; and of which studies all is here that another
    PACS has, as far as anything of them is wanted.
    """
    several = _several()
    closed = StudyFind.retrieved_on.is_not(None)
    compared = func.count().filter(StudyFind.retrieved_on.is_(None), _compared())
    query = (
        select(StudySource.peer, StudySource.state, closed, compared, *_counts(now))
        .select_from(several)
        .join(StudySource, StudySource.study_find_id == several.c.study)
        .join(StudyFind, StudyFind.id == several.c.study)
        .where(_OPEN)
        .group_by(StudySource.peer, StudySource.state, closed)
    )
    tallies = []
    for peer, state, is_closed, to_compare, *counts in await session.execute(query):
        if is_closed:
            counted = _queue(peer, state, counts)
            less = {name: -getattr(counted, name) for name in COUNTS}
            tallies.append(PeerTally(peer=peer, found=0, complete=counts[0], **less))
        elif to_compare and state != UNWANTED:
            tallies.append(PeerTally(peer=peer, found=0, complete=0, to_compare=to_compare))
    return tallies


async def _next_on(session: AsyncSession, peer: str | None, now: datetime) -> datetime | None:
    """Return when the first study of a PACS that waits, and is not closed, is due."""
    return await session.scalar(
        select(func.min(StudySource.next_attempt_on))
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(
            StudySource.peer == peer,
            StudySource.state.in_(sorted(ASKED)),
            StudySource.given_up_on.is_(None),
            StudySource.next_attempt_on > now,
            StudyFind.retrieved_on.is_(None),
            _OPEN,
        )
    )


def _compared() -> ColumnElement[bool]:
    """Return the condition that all is here that another PACS has of a study."""
    other = aliased(StudySource)
    return (
        select(other.id)
        .where(
            other.study_find_id == StudyFind.id,
            other.verified_on.is_not(None),
            other.gone_on.is_(None),
        )
        .exists()
    )


async def _of_some(session: AsyncSession, study_uids: Collection[str]) -> list[PeerTally]:
    peer = func.coalesce(StudySource.peer, StudyFind.peer).label("peer")
    complete = or_(StudyFind.retrieved_on.is_not(None), StudySource.verified_on.is_not(None))
    query = (
        select(
            peer,
            func.count().filter(_THERE),
            func.count().filter(_THERE, complete),
            func.count().filter(~_THERE),
            func.count().filter(_THERE, ~complete, _compared(), StudySource.state != UNWANTED),
            func.count().filter(_THERE, ~complete, StudySource.state == HELD),
            func.count().filter(_THERE, ~complete, StudySource.state == UNWANTED),
        )
        .select_from(StudyFind)
        .outerjoin(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
        .group_by(peer)
    )
    return [
        PeerTally(
            peer=name,
            found=found,
            complete=complete,
            gone=gone,
            unwanted=unwanted,
            to_compare=to_compare,
            states={HELD: held} if held else {},
        )
        for name, found, complete, gone, to_compare, held, unwanted in await session.execute(query)
    ]
