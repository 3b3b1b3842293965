"""What the database holds, in numbers: for the status command and for a dashboard."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from schema.engine.either import either
from schema.finding.drawing import SourceAnswer
from schema.hierarchy.sources import get_sources
from schema.inventory import count_images
from schema.tables.columns import utcnow
from schema.tables.ledger import Cycle, Quarantined
from schema.tables.models import GONE, MOVING, PARTIAL, Image, Patient, Series, Study, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleSummary:
    """A cycle: its row of `cycles`."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How much there is.

    Attributes
    ----------
    found, retrieved, to_move
        Studies that PACSs said they have; verified complete here; not yet.
    gone
        Studies that are not complete here, and that no PACS has any more: they are not to move.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTally:
    """How many studies a PACS has answered, and how many of them are complete here.

    Attributes
    ----------
    peer
        Its configured name; None for the studies of which no PACS is known.
    found
        Studies that it has.
    complete
        Those of them of which all that it has is verified to be here.
    gone
        Studies that it had, and has no more.
    to_compare
        Those of the open ones of which all is here that another PACS has: only its own list of
        images tells whether anything is missing.
    """

    peer: str | None
    found: int
    complete: int
    gone: int = 0
    to_compare: int = 0

    @property
    def open(self) -> int:
        """Of how many not all that it has is verified to be here."""
        return self.found - self.complete


async def tally_peers(
    session: AsyncSession, study_uids: Collection[str] | None = None
) -> list[PeerTally]:
    """Count the found studies of each PACS that has answered them, by its name.

    A study that several have counts for each of them.

    Parameters
    ----------
    study_uids
        Only these; None means all.
    """
    peer = func.coalesce(StudySource.peer, StudyFind.peer).label("peer")
    there = StudySource.gone_on.is_(None)
    complete = or_(StudyFind.retrieved_on.is_not(None), StudySource.verified_on.is_not(None))
    other = aliased(StudySource)
    compared = select(other.id).where(
        other.study_find_id == StudyFind.id,
        other.verified_on.is_not(None),
        other.gone_on.is_(None),
    )
    query = (
        select(
            peer,
            func.count().filter(there),
            func.count().filter(there, complete),
            func.count().filter(~there),
            func.count().filter(there, ~complete, compared.exists()),
        )
        .select_from(StudyFind)
        .outerjoin(StudySource, StudySource.study_find_id == StudyFind.id)
        .group_by(peer)
    )
    if study_uids is not None:
        query = query.where(among(session, StudyFind.study_uid, sorted(study_uids)))
    tallies = [
        PeerTally(peer=name, found=found, complete=complete, gone=gone, to_compare=to_compare)
        for name, found, complete, gone, to_compare in await session.execute(query)
    ]
    return sorted(tallies, key=lambda tally: (tally.peer is None, tally.peer or ""))


@either
async def summary(session: AsyncSession) -> Summary:
    """Count what the database holds."""
    grouped = select(StudyFind.state, func.count()).group_by(StudyFind.state)
    states: dict[str, int] = dict((await session.execute(grouped)).all())
    found, gone = sum(states.values()), states.get(GONE, 0)
    here = select(func.count()).where(StudyFind.retrieved_on.is_not(None))
    retrieved = await session.scalar(here) or 0
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
        to_move=found - retrieved - gone,
        gone=gone,
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
    return tuple(
        _summary_of(cycle)
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
    return [_summary_of(cycle) for cycle in rows]


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


def _summary_of(cycle: Cycle) -> CycleSummary:
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
    )


@either
async def recent_studies(
    session: AsyncSession, limit: int = 20, *, peer: str | None = None
) -> list[StudySummary]:
    """Return the studies about which something happened last, the latest first.

    Parameters
    ----------
    peer
        Only those that this PACS has, or had.
    """
    has = (StudySource.study_find_id == StudyFind.id) & (StudySource.peer == peer)
    answered = or_(StudyFind.peer == peer, select(StudySource.id).where(has).exists())
    query = (
        select(StudyFind)
        .where(true() if peer is None else answered)
        .order_by(StudyFind.updated_on.desc().nulls_last(), StudyFind.id.desc())
        .limit(limit)
    )
    rows = list(await session.scalars(query.execution_options(populate_existing=True)))
    received = await count_images(session, [row.study_uid for row in rows])
    sources = await get_sources(session, [row.study_uid for row in rows])
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
        )
        for row in rows
    ]
