"""Which of the known studies meet criteria: those that were found, and those that are here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from sqlalchemy import ColumnElement, Select, and_, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from schema.engine.either import either
from schema.tables.models import Image, Patient, Series, Study, StudyFind
from schema.tables.sources import StudySource


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What is asked of a study: None is not asked; of several values, one has to be met.

    Attributes
    ----------
    first, last
        Study dates, both included. A study without a date is in no range.
    modality
        One of its series has it, or the PACS says so.
    patient_id
        As the PACS, or the images, have it.
    peer
        The configured name of a PACS that has it.
    manufacturer
        Of one of the images that are here.
    """

    first: date | None = None
    last: date | None = None
    modality: str | Sequence[str] | None = None
    patient_id: str | Sequence[str] | None = None
    peer: str | Sequence[str] | None = None
    manufacturer: str | Sequence[str] | None = None


@either
async def select_studies(session: AsyncSession, criteria: Criteria) -> list[str]:
    """Return the UIDs of the studies that meet all criteria; of all studies when there are none.

    A study counts when what its PACS says meets them, or what its images say.
    """
    return sorted(await session.scalars(union(_found(criteria), _received(criteria))))


def _found(criteria: Criteria) -> Select[str]:
    query = select(StudyFind.study_uid).where(
        *_dates(StudyFind.study_date, criteria), *_made_by(StudyFind.study_uid, criteria)
    )
    if modalities := _several(criteria.modality):
        listed = "\\" + StudyFind.modalities + "\\"
        named = (listed.contains(f"\\{one}\\", autoescape=True) for one in modalities)
        query = query.where(or_(*named))
    if patient_ids := _several(criteria.patient_id):
        query = query.where(StudyFind.patient_id.in_(patient_ids))
    if peers := _several(criteria.peer):
        query = query.where(_at(peers))
    return query


def _received(criteria: Criteria) -> Select[str]:
    query = select(Study.study_uid).where(
        *_dates(Study.study_date, criteria), *_made_by(Study.study_uid, criteria)
    )
    if modalities := _several(criteria.modality):
        series = and_(Series.study_id == Study.id, Series.modality.in_(modalities))
        query = query.where(select(Series.id).where(series).exists())
    if patient_ids := _several(criteria.patient_id):
        query = query.join(Patient, Patient.id == Study.patient_id)
        query = query.where(Patient.patient_id.in_(patient_ids))
    if peers := _several(criteria.peer):
        query = query.join(StudyFind, StudyFind.study_uid == Study.study_uid)
        query = query.where(_at(peers))
    return query


def _at(peers: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that one of these PACSs has a found study."""
    sources = select(StudySource.id).where(StudySource.study_find_id == StudyFind.id)
    there = sources.where(StudySource.peer.in_(peers), StudySource.gone_on.is_(None))
    return or_(there.exists(), and_(StudyFind.peer.in_(peers), ~sources.exists()))


def _dates(
    column: InstrumentedAttribute[datetime | None], criteria: Criteria
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if criteria.first is not None:
        conditions.append(column >= datetime.combine(criteria.first, time()))
    if criteria.last is not None:
        # a study date may have a time
        until = datetime.combine(criteria.last, time.max)
        conditions.append(column <= until)
    return conditions


def _made_by(uid: InstrumentedAttribute[str], criteria: Criteria) -> list[ColumnElement[bool]]:
    manufacturers = _several(criteria.manufacturer)
    if not manufacturers:
        return []
    made = Image.manufacturer.in_(manufacturers)
    return [uid.in_(select(Image.study_uid).where(made))]


def _several(values: str | Sequence[str] | None) -> list[str]:
    if values is None:
        return []
    return [values] if isinstance(values, str) else list(values)
