"""What the database holds, in numbers: for the status command and for a dashboard."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.inventory import count_images
from schema.tables.ledger import Cycle, Quarantined
from schema.tables.models import MOVING, PARTIAL, Image, Patient, Series, Study, StudyFind


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleSummary:
    """The last cycle of a kind for a peer."""

    id: int
    kind: str
    peer: str | None
    node: str | None
    started_on: datetime
    finished_on: datetime | None
    outcome: str
    counts: dict[str, Any]
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How much there is.

    Attributes
    ----------
    found, retrieved, to_move
        Studies that PACSs said they have; verified complete here; not yet.
    partial
        Of those to move, the ones of which a part is here, or that are being moved.
    states
        The studies found, by state.
    studies
        Studies with at least one image here.
    last_cycles
        The last cycle of each kind for each peer.
    """

    found: int
    retrieved: int
    to_move: int
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
    """One found study, and how much of it is here."""

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


@either
async def summary(session: AsyncSession) -> Summary:
    """Count what the database holds."""
    states: dict[str, int] = {}
    retrieved = 0
    grouped = select(StudyFind.state, func.count(), func.count(StudyFind.retrieved_on)).group_by(
        StudyFind.state
    )
    for state, count, complete in await session.execute(grouped):
        states[state] = count
        retrieved += complete
    found = sum(states.values())
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
        to_move=found - retrieved,
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
    latest = select(func.max(Cycle.id)).group_by(Cycle.kind, Cycle.peer)
    query = select(Cycle).where(Cycle.id.in_(latest)).order_by(Cycle.kind, Cycle.peer)
    return tuple(
        CycleSummary(
            id=cycle.id,
            kind=cycle.kind,
            peer=cycle.peer,
            node=cycle.node,
            started_on=cycle.started_on,
            finished_on=cycle.finished_on,
            outcome=cycle.outcome,
            counts=cycle.counts or {},
            message=cycle.message,
        )
        for cycle in await session.scalars(query.execution_options(populate_existing=True))
    )


@either
async def recent_studies(session: AsyncSession, limit: int = 20) -> list[StudySummary]:
    """Return the studies about which something happened last, the latest first."""
    query = (
        select(StudyFind)
        .order_by(StudyFind.updated_on.desc().nulls_last(), StudyFind.id.desc())
        .limit(limit)
    )
    rows = list(await session.scalars(query.execution_options(populate_existing=True)))
    received = await count_images(session, [row.study_uid for row in rows])
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
        )
        for row in rows
    ]
