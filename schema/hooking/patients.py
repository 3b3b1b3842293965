"""What of an event is a patient's: read when it is told, so that it is kept in one place alone."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.models import StudyFind
from schema.tables.sources import StudySource


async def patient_of(session: AsyncSession, study_uid: str) -> dict[str, Any]:
    """Return what the PACSs say of the patient of a study; nothing where it is not known any more.

    Returns
    -------
    dict[str, Any]
        patient_id, patient_name, patient_birth_date, accession_number.
    """
    born = (
        select(StudySource.patient_birth_date)
        .where(
            StudySource.study_find_id == StudyFind.id, StudySource.patient_birth_date.is_not(None)
        )
        .order_by(StudySource.peer)
        .limit(1)
        .scalar_subquery()
    )
    query = select(
        StudyFind.patient_id,
        StudyFind.patient_name,
        born.label("patient_birth_date"),
        StudyFind.accession_number,
    ).where(StudyFind.study_uid == study_uid)
    row = (await session.execute(query)).mappings().one_or_none()
    return {} if row is None else dict(row)
