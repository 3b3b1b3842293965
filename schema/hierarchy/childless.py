"""Rows above images that came to nothing, because another writer was quicker.

Two writers may bring one series under two studies, or one image under two series. The one that
comes second keeps its image under what the first one made (see `schema.images`); the patient,
study or series that it inserted for it has nothing below it then, and goes again before anybody
has seen it.
"""

from dataclasses import dataclass, field

from sqlalchemy import delete, exists
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.models import Image, Patient, Series, Study
from schema.tables.statements import among


@dataclass(slots=True, kw_only=True)
class Made:
    """The ids of the rows that a batch inserted above its images.

    Attributes
    ----------
    contended
        Whether a row that the batch was to insert was another writer's in the end.
    """

    patients: set[int] = field(default_factory=set)
    studies: set[int] = field(default_factory=set)
    series: set[int] = field(default_factory=set)
    contended: bool = False


async def remove_leftovers(session: AsyncSession, made: Made) -> None:
    """Delete what a batch made and has nothing below it; does nothing without a contest."""
    if not made.contended:
        return
    levels = (
        (Series.id, made.series, Image.series_id),
        (Study.id, made.studies, Series.study_id),
        (Patient.id, made.patients, Study.patient_id),
    )
    for key, ids, parent in levels:
        if ids:
            await session.execute(
                delete(key.class_)
                .where(among(session, key, sorted(ids)), ~exists().where(parent == key))
                .execution_options(synchronize_session=False)
            )
