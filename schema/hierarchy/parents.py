"""The patients, studies and series above a batch of images: looked up, and made where missing.

Level by level, and within a level in sorted order, so that two transactions which bring the
same new rows wait for each other in one direction only. A row is never re-parented: what is
known of a series and of a study stays, and the caller compares.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.errors import DatabaseUnavailable
from schema.hierarchy.childless import Made
from schema.hierarchy.links import link_studies
from schema.record import ImageRecord
from schema.tables.models import Patient, Series, Study, StudyFind
from schema.tables.statements import among, insert_new, table_of

K = TypeVar("K", str, tuple[str, str])
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStudy:
    """A study's row, and the patient under which it is.

    Attributes
    ----------
    person
        Name and birth date of its patient, where all its images have these.
    """

    id: int
    study_find_id: int | None
    patient_id: str | None
    institution: str | None
    person: tuple[str | None, datetime | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSeries:
    """A series' row, and the study under which it is."""

    id: int
    study_uid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parents:
    """The rows above a batch of images, by UID, and which of them the batch brought."""

    series: Mapping[str, KnownSeries]
    studies: Mapping[str, KnownStudy]
    made: Made


async def resolve_parents(session: AsyncSession, records: Iterable[ImageRecord]) -> Parents:
    """Return the series and studies for these images, having inserted those that were missing.

    A study is inserted only where one of its series is: an image whose series is known under
    another study brings no study. Each row is made of the first image that needs it.
    """
    made = Made()
    first: dict[str, ImageRecord] = {}
    for record in records:
        first.setdefault(record.series_uid, record)
    series = await _select_series(session, first)
    needed: dict[str, ImageRecord] = {}
    for uid, record in first.items():
        if uid not in series:
            needed.setdefault(record.study_uid, record)
    above = {one.study_uid for one in series.values() if one.study_uid is not None}
    studies = await _select_studies(session, above | needed.keys())
    await _complete_studies(session, studies, needed, made)

    async def insert(missing: Sequence[str]) -> dict[str, KnownSeries]:
        rows = [
            {
                "study_id": studies[first[uid].study_uid].id,
                "series_uid": uid,
                "modality": first[uid].modality,
            }
            for uid in missing
        ]
        returned = await insert_new(
            session, table_of(Series), rows, key=["series_uid"], returning=["series_uid", "id"]
        )
        made.series.update(id_ for _, id_ in returned)
        made.contended |= len(returned) < len(rows)
        return {uid: KnownSeries(id=id_, study_uid=first[uid].study_uid) for uid, id_ in returned}

    async def look_up(missing: Collection[str]) -> dict[str, KnownSeries]:
        return await _select_series(session, missing)

    await _complete(series, first.keys(), insert, look_up)
    # Another writer may have put a series under a study that we have not looked at.
    above = {one.study_uid for one in series.values() if one.study_uid is not None}
    if unseen := above - studies.keys():
        studies.update(await _select_studies(session, unseen))
    return Parents(series=series, studies=studies, made=made)


async def _complete(
    known: dict[K, V],
    wanted: Collection[K],
    insert: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
    look_up: Callable[[Collection[K]], Awaitable[Mapping[K, V]]],
) -> None:
    """Add to `known` what is missing: inserted by us, or found after another inserted it.

    What was deleted in between is not inserted in a second round: behind the rows of the first
    one it would be out of order, and two transactions could wait for each other crosswise.
    """
    missing: list[K] = sorted(key for key in wanted if key not in known)
    if not missing:
        return
    known.update(await insert(missing))
    if lost := [key for key in missing if key not in known]:
        known.update(await look_up(lost))
    if any(key not in known for key in lost):
        raise DatabaseUnavailable("rows were removed while they were used", conflict=True)


async def _complete_studies(
    session: AsyncSession,
    studies: dict[str, KnownStudy],
    needed: Mapping[str, ImageRecord],
    made: Made,
) -> None:
    """Insert the studies that are needed and not known, and link those that were found."""
    new = {uid: record for uid, record in needed.items() if uid not in studies}
    unlinked = {uid for uid, study in studies.items() if study.study_find_id is None}
    found = await _select_found(session, unlinked | new.keys())
    await _link(session, studies, {uid: found[uid] for uid in unlinked & found.keys()})
    if not new:
        return
    patients = await _resolve_patients(session, new.values(), made)

    async def insert(missing: Sequence[str]) -> dict[str, KnownStudy]:
        rows = [
            {
                "study_find_id": found.get(uid),
                "patient_id": patients[_patient_key(new[uid])],
                "study_uid": uid,
                "study_date": new[uid].study_date,
                "patient_age": new[uid].patient_age,
                "accession_number": new[uid].accession_number,
                "patient_name": new[uid].patient_name,
                "patient_birth_date": new[uid].patient_birth_date,
                "one_person": True,
            }
            for uid in missing
        ]
        returned = await insert_new(
            session, table_of(Study), rows, key=["study_uid"], returning=["study_uid", "id"]
        )
        made.studies.update(id_ for _, id_ in returned)
        made.contended |= len(returned) < len(rows)
        return {
            uid: KnownStudy(
                id=id_,
                study_find_id=found.get(uid),
                patient_id=new[uid].patient_id,
                institution=new[uid].institution,
                person=(new[uid].patient_name, new[uid].patient_birth_date),
            )
            for uid, id_ in returned
        }

    async def look_up(missing: Collection[str]) -> dict[str, KnownStudy]:
        return await _select_studies(session, missing)

    await _complete(studies, new.keys(), insert, look_up)


async def _resolve_patients(
    session: AsyncSession, records: Iterable[ImageRecord], made: Made
) -> dict[tuple[str, str], int]:
    """Return the patients' ids by identifier and institution, inserting those missing."""
    first: dict[tuple[str, str], ImageRecord] = {}
    for record in records:
        first.setdefault(_patient_key(record), record)

    async def insert(missing: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        rows = [
            {
                "patient_id": key[0],
                "institution": key[1],
                "patient_name": first[key].patient_name,
                "patient_birth_date": first[key].patient_birth_date,
            }
            for key in missing
        ]
        returned = await insert_new(
            session,
            table_of(Patient),
            rows,
            key=["patient_id", "institution"],
            returning=["patient_id", "institution", "id"],
        )
        made.patients.update(id_ for *_, id_ in returned)
        return {(patient_id, institution): id_ for patient_id, institution, id_ in returned}

    async def look_up(missing: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        query = select(Patient.patient_id, Patient.institution, Patient.id).where(
            among(session, Patient.patient_id, sorted({key[0] for key in missing})),
            among(session, Patient.institution, sorted({key[1] for key in missing})),
        )
        return {(pid, institution): id_ for pid, institution, id_ in await session.execute(query)}

    patients = await look_up(first.keys())
    await _complete(patients, first.keys(), insert, look_up)
    return patients


def _patient_key(record: ImageRecord) -> tuple[str, str]:
    return record.patient_id, record.institution


async def _select_series(session: AsyncSession, uids: Iterable[str]) -> dict[str, KnownSeries]:
    query = (
        select(Series.series_uid, Series.id, Study.study_uid)
        .outerjoin(Study, Study.id == Series.study_id)
        .where(among(session, Series.series_uid, sorted(uids)))
    )
    return {
        uid: KnownSeries(id=id_, study_uid=study_uid)
        for uid, id_, study_uid in await session.execute(query)
    }


async def _select_studies(session: AsyncSession, uids: Iterable[str]) -> dict[str, KnownStudy]:
    query = (
        select(
            Study.study_uid,
            Study.id,
            Study.study_find_id,
            Patient.patient_id,
            Patient.institution,
            Study.one_person,
            Study.patient_name,
            Study.patient_birth_date,
        )
        .outerjoin(Patient, Patient.id == Study.patient_id)
        .where(among(session, Study.study_uid, sorted(uids)))
    )
    return {
        uid: KnownStudy(
            id=id_,
            study_find_id=find_id,
            patient_id=patient_id,
            institution=institution,
            person=(name, born) if one_person else None,
        )
        for uid, id_, find_id, patient_id, institution, one_person, name, born in (
            await session.execute(query)
        )
    }


async def _select_found(session: AsyncSession, uids: Collection[str]) -> dict[str, int]:
    """Return the ids of the found studies with these UIDs."""
    if not uids:
        return {}
    query = select(StudyFind.study_uid, StudyFind.id).where(
        among(session, StudyFind.study_uid, sorted(uids))
    )
    return dict((await session.execute(query)).all())


async def _link(
    session: AsyncSession, studies: dict[str, KnownStudy], links: Mapping[str, int]
) -> None:
    """Tell studies what was found of them."""
    if not links:
        return
    await link_studies(session, {studies[uid].id: find_id for uid, find_id in links.items()})
