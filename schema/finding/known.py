"""Studies that a PACS is known to have: what it can be asked for, to see how it answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.finding.seen import of_dates
from schema.header.values import clean_text, key_of
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among

ISSUER = "IssuerOfPatientID"
"""DICOM keyword of who has given a patient the ID (0010,0021), kept where it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedStudy:
    """A study as a PACS has described it; what it has not said is "" or None."""

    study_uid: str
    accession_number: str = ""
    patient_id: str = ""
    issuer: str = ""
    study_date: date | None = None
    modalities: tuple[str, ...] = ()


def patients_of(studies: Iterable[DescribedStudy]) -> set[tuple[str, str]]:
    """Return whose the studies are: each Patient ID, and who has given it.

    An ID without an issuer is that of any issuer; a study without an ID is nobody's.
    """
    told = {(one.patient_id, one.issuer) for one in studies if one.patient_id}
    issued = {patient_id for patient_id, issuer in told if issuer}
    return {(id_, issuer) for id_, issuer in told if issuer or id_ not in issued}


@either
async def last_known_at(session: AsyncSession, peer: str, *, limit: int) -> list[DescribedStudy]:
    """Return the studies that a PACS has, as far as it has said: those first that are newest to us.

    Parameters
    ----------
    limit
        At most so many.
    """
    query = _described(peer).where(StudySource.gone_on.is_(None))
    newest = query.order_by(StudySource.id.desc()).limit(limit)
    return [_known(row) for row in await session.execute(newest)]


@either
async def known_at(
    session: AsyncSession, peer: str, study_uids: Iterable[str]
) -> dict[str, DescribedStudy]:
    """Return how a PACS describes those of these studies that it has answered, by UID."""
    uids = {key_of(clean_text(uid)): uid for uid in study_uids}
    query = _described(peer, few=True).where(among(session, StudyFind.study_uid, sorted(uids)))
    known = [_known(row) for row in await session.execute(query)]
    return {uids[one.study_uid]: one for one in known if one.study_uid in uids}


@either
async def oldest_known_at(
    session: AsyncSession,
    peer: str,
    *,
    limit: int,
    start: date | None = None,
    before: date | None = None,
    since: datetime | None = None,
) -> list[DescribedStudy]:
    """Return the studies with the earliest dates that a PACS has, as far as it has said.

    Parameters
    ----------
    limit
        At most so many.
    start, before
        The first study date, and the one after the last; None is open.
    since
        When it said so at the earliest, naive UTC; None is at any time.
    """
    query = _described(peer).where(*_DATED, *of_dates(start, None))
    if before is not None:
        query = query.where(StudySource.study_date < before)
    if since is not None:
        query = query.where(StudySource.last_seen_on >= since)
    oldest = query.order_by(StudySource.study_date, StudySource.id).limit(limit)
    return [_known(row) for row in await session.execute(oldest)]


@either
async def named_at(
    session: AsyncSession,
    peer: str,
    *,
    study_uids: Iterable[str] = (),
    accession_numbers: Iterable[str] = (),
) -> list[DescribedStudy]:
    """Return the studies with a date that a PACS has under these UIDs and numbers.

    As far as it has said; what it has no more is left out.
    """
    uids = {key_of(clean_text(uid)) for uid in study_uids}
    numbers = {clean_text(number) for number in accession_numbers}
    known: dict[str, DescribedStudy] = {}
    for column, values in ((StudyFind.study_uid, uids), (StudySource.accession_number, numbers)):
        if values:
            query = _described(peer, few=True).where(
                *_DATED, among(session, column, sorted(values))
            )
            known |= {row.uid: _known(row) for row in await session.execute(query)}
    return list(known.values())


_DATED = (StudySource.gone_on.is_(None), StudySource.study_date.is_not(None))


def _described(peer: str, *, few: bool = False) -> Select[Any]:
    """Return what selects the studies of a PACS.

    Parameters
    ----------
    few
        Few of them are chosen by something else: without it SQLite would read all that it has.
    """
    at = StudySource.peer.concat("") if few else StudySource.peer
    return (
        select(
            StudyFind.study_uid.label("uid"),
            StudySource.accession_number,
            StudySource.patient_id,
            StudySource.study_date,
            StudySource.modalities,
            StudySource.keys.label("more"),
        )
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(at == key_of(clean_text(peer)))
    )


def _known(row: Row[Any]) -> DescribedStudy:
    return DescribedStudy(
        study_uid=row.uid,
        accession_number=row.accession_number or "",
        patient_id=row.patient_id or "",
        issuer=str((row.more or {}).get(ISSUER, "")),
        study_date=None if row.study_date is None else row.study_date.date(),
        modalities=tuple((row.modalities or "").split("\\")) if row.modalities else (),
    )
