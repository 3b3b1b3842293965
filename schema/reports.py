"""What the database holds, in numbers: for the status command and for a dashboard."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.unwanted import unwanted_at
from schema.cycles import is_heard
from schema.engine.either import either
from schema.finding.drawing import SourceAnswer
from schema.hierarchy.sources import get_sources
from schema.inventory import count_images
from schema.moving.interrupted import interrupted_at
from schema.tables.columns import utcnow
from schema.tables.ledger import UNFINISHED, Cycle, MoveAttempt, Quarantined
from schema.tables.models import (
    GONE,
    MOVING,
    PARTIAL,
    RETRIEVED,
    UNWANTED,
    Image,
    Patient,
    Series,
    Study,
    StudyFind,
)
from schema.tables.sources import StudySource
from schema.tables.statements import among, shared_now


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleSummary:
    """A cycle: its row of `cycles`.

    Attributes
    ----------
    silent
        Whether it should be running, and its process is not heard of any more.
    """

    id: int
    kind: str
    peer: str | None
    node: str | None
    pid: int | None
    started_on: datetime
    finished_on: datetime | None
    outcome: str
    counts: dict[str, Any]
    message: str | None
    wanted: str | None
    heard_on: datetime | None
    asked: list[dict[str, Any]] | None
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How much there is.

    Attributes
    ----------
    found, retrieved, to_move
        Studies that PACSs said they have; verified complete here; not yet, though wanted.
    gone
        Studies that are not complete here, and that no PACS has any more: they are not to move.
    unwanted
        Studies of which the policy wants nothing: nor are they.
    partial
        Of those to move, the ones of which a part is here, or that are being moved.
    states
        The studies found, by state.
    studies
        Studies with at least one image here.
    last_cycles
        The last cycle of each kind for each peer; of finds the last of dates, and the last of
        single studies.
    """

    found: int
    retrieved: int
    to_move: int
    gone: int
    unwanted: int
    partial: int
    states: dict[str, int]
    patients: int
    studies: int
    series: int
    images: int
    flagged: int
    quarantined: int
    last_cycles: tuple[CycleSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """One found study, and how much of it is here.

    Attributes
    ----------
    peer
        The PACS that answered it last.
    sources
        All PACSs that have it, or had it, by name.
    unwanted_at
        Those of them of which the policy wants nothing of it.
    interrupted_at
        Those of them whose last attempt was asked and interrupted.
    """

    study_uid: str
    patient_id: str | None
    study_date: datetime | None
    modalities: str | None
    expected_images: int | None
    received_images: int
    state: str
    peer: str | None
    attempts: int
    retrieved_on: datetime | None
    last_error: str | None
    next_attempt_on: datetime | None = None
    sources: tuple[SourceAnswer, ...] = ()
    unwanted_at: tuple[str, ...] = ()
    interrupted_at: tuple[str, ...] = ()


@either
async def summary(session: AsyncSession) -> Summary:
    """Count what the database holds."""
    grouped = select(StudyFind.state, func.count(), func.count(StudyFind.retrieved_on))
    rows = (await session.execute(grouped.group_by(StudyFind.state))).all()
    states: dict[str, int] = {state: count for state, count, _ in rows}
    found, gone = sum(states.values()), states.get(GONE, 0)
    retrieved = sum(here for _, _, here in rows)
    unwanted = sum(count - here for state, count, here in rows if state == UNWANTED)
    counts = select(
        *(
            select(func.count()).select_from(table).scalar_subquery()
            for table in (Patient, Study, Series, Image, Quarantined)
        ),
        select(func.count(Image.flag)).scalar_subquery(),
    )
    patients, studies, series, images, quarantined, flagged = tuple(
        (await session.execute(counts)).one()
    )
    return Summary(
        found=found,
        retrieved=retrieved,
        to_move=found - retrieved - gone - unwanted,
        gone=gone,
        unwanted=unwanted,
        partial=states.get(PARTIAL, 0) + states.get(MOVING, 0),
        states=states,
        patients=patients,
        studies=studies,
        series=series,
        images=images,
        flagged=flagged,
        quarantined=quarantined,
        last_cycles=await _last_cycles(session),
    )


async def _last_cycles(session: AsyncSession) -> tuple[CycleSummary, ...]:
    latest = select(func.max(Cycle.id)).group_by(Cycle.kind, Cycle.peer, Cycle.asked.is_(None))
    query = select(Cycle).where(Cycle.id.in_(latest))
    cycles = await session.scalars(query.execution_options(populate_existing=True))
    now = await shared_now(session)
    return tuple(
        _summary_of(cycle, now)
        # databases sort names by rules of their own
        for cycle in sorted(
            cycles, key=lambda one: (one.kind, one.peer is None, one.peer or "", one.asked is None)
        )
    )


@either
async def recent_cycles(
    session: AsyncSession,
    *,
    peer: str | None = None,
    ids: Collection[int] | None = None,
    limit: int | None = None,
) -> list[CycleSummary]:
    """Return cycles, the latest first.

    Parameters
    ----------
    peer
        Only those at this PACS.
    ids
        Only these.
    limit
        At most so many.
    """
    query = select(Cycle).order_by(Cycle.id.desc()).limit(limit)
    if peer is not None:
        query = query.where(Cycle.peer == peer)
    if ids is not None:
        query = query.where(Cycle.id.in_(ids))
    rows = await session.scalars(query.execution_options(populate_existing=True))
    now = await shared_now(session)
    return [_summary_of(cycle, now) for cycle in rows]


async def studies_of_cycle(
    session: AsyncSession, cycle: CycleSummary, *, limit: int
) -> tuple[list[StudyFind], int]:
    """Return the studies of a PACS of which something was recorded while a move ran.

    The latest first, and how many there are in all.
    """
    of_then = (
        StudyFind.peer == cycle.peer,
        StudyFind.attempts > 0,
        StudyFind.updated_on >= cycle.started_on,
        StudyFind.updated_on <= (cycle.finished_on or utcnow()),
    )
    query = select(StudyFind).where(*of_then).order_by(StudyFind.updated_on.desc()).limit(limit)
    count = select(func.count()).select_from(StudyFind).where(*of_then)
    return list(await session.scalars(query)), (await session.scalars(count)).one()


def _summary_of(cycle: Cycle, now: datetime) -> CycleSummary:
    return CycleSummary(
        id=cycle.id,
        kind=cycle.kind,
        peer=cycle.peer,
        node=cycle.node,
        pid=cycle.pid,
        started_on=cycle.started_on,
        finished_on=cycle.finished_on,
        outcome=cycle.outcome,
        counts=cycle.counts or {},
        message=cycle.message,
        wanted=cycle.wanted,
        heard_on=cycle.heard_on,
        asked=cycle.asked,
        silent=cycle.outcome in UNFINISHED and not is_heard(cycle.heard_on, now),
    )


@either
async def recent_studies(
    session: AsyncSession, limit: int = 20, *, peer: str | None = None
) -> list[StudySummary]:
    """Return the studies about which something happened last, the latest first.

    Those that were asked for, complete or found for the first time last. That a find has seen one
    again is no news: to know it of all, all would have to be read.

    Parameters
    ----------
    peer
        Only those that this PACS has, or had.
    """
    latest = await _latest(session, limit, peer)
    query = (
        select(StudyFind)
        .where(among(session, StudyFind.id, sorted(latest)))
        .order_by(StudyFind.updated_on.desc().nulls_last(), StudyFind.id.desc())
        .limit(limit)
    )
    rows = list(await session.scalars(query.execution_options(populate_existing=True)))
    received = await count_images(session, [row.study_uid for row in rows])
    sources = await get_sources(session, [row.study_uid for row in rows])
    unwanted = await unwanted_at(session, [row.id for row in rows])
    interrupted = await interrupted_at(session, [row.id for row in rows])
    return [
        StudySummary(
            study_uid=row.study_uid,
            patient_id=row.patient_id,
            study_date=row.study_date,
            modalities=row.modalities,
            expected_images=row.expected_images,
            received_images=received[row.study_uid],
            state=row.state,
            peer=row.peer,
            attempts=row.attempts,
            retrieved_on=row.retrieved_on,
            last_error=row.last_error,
            next_attempt_on=row.next_attempt_on,
            sources=tuple(sources.get(row.study_uid, ())),
            unwanted_at=unwanted.get(row.id, ()),
            interrupted_at=interrupted.get(row.id, ()),
        )
        for row in rows
    ]


async def _latest(session: AsyncSession, limit: int, peer: str | None) -> set[int]:
    """Return the keys of the studies that were asked for, complete or new last."""
    of_peer = StudySource.peer == peer
    if peer is None:
        new = [select(StudyFind.id).order_by(StudyFind.id.desc())]
        done = select(StudyFind.id).where(StudyFind.state == RETRIEVED)
        done = done.where(StudyFind.retrieved_on.is_not(None)).order_by(
            StudyFind.retrieved_on.desc()
        )
    else:
        new = [
            select(StudySource.study_find_id).where(of_peer).order_by(StudySource.id.desc()),
            # as somebody has recorded it, or as the last who has answered it
            select(StudyFind.id).where(StudyFind.peer == peer).order_by(StudyFind.id.desc()),
        ]
        done = (
            select(StudySource.study_find_id)
            .where(of_peer, StudySource.state == RETRIEVED, StudySource.gone_on.is_(None))
            .order_by(StudySource.verified_on.desc())
        )
    latest: set[int] = set()
    for query in (*new, done):
        latest.update(await session.scalars(query.limit(limit)))
    asked: set[int] = set()
    last: int | None = None
    while len(asked) < limit:  # a study may have been asked for many times
        page = select(MoveAttempt.id, MoveAttempt.study_find_id).order_by(MoveAttempt.id.desc())
        if peer is not None:
            page = page.where(MoveAttempt.peer == peer)
        if last is not None:
            page = page.where(MoveAttempt.id < last)
        rows = (await session.execute(page.limit(4 * limit))).all()
        if not rows:
            break
        asked.update(row.study_find_id for row in rows)
        last = rows[-1].id
    return latest | asked
