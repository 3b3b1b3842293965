"""Which studies are of one person: all their images have the name and birth date of the first one.

Those that are not are few: a Patient ID was given twice, or a name was corrected while images came.
Of all others the study's own row says who is in their series and images.
"""

from collections.abc import Iterable

from sqlalchemy import bindparam, false, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.hierarchy.parents import Parents
from schema.record import ImageRecord
from schema.tables.models import Study
from schema.tables.statements import table_of


async def note_other_persons(
    session: AsyncSession, records: Iterable[ImageRecord], parents: Parents
) -> None:
    """Note of the studies under which images come that they are not of one person any more.

    By the row that an image goes under, not by the study that its own header names.
    """
    several: set[int] = set()
    for record in records:
        study = parents.studies.get(parents.series[record.series_uid].study_uid or "")
        if study is None or study.person is None:
            continue
        if study.person != (record.patient_name, record.patient_birth_date):
            several.add(study.id)
    if not several:
        return
    table = table_of(Study)
    statement = update(table).where(table.c.id == bindparam("row")).values(one_person=false())
    # in the order of the keys, so that two who bring images of the same ones never wait crosswise
    rows = [{"row": row} for row in sorted(several)]
    await (await session.connection()).execute(statement, rows)
