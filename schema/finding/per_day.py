"""How many studies a PACS is known to have, day by day."""

from datetime import date

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_text, key_of
from schema.tables.sources import StudySource


@either
async def known_per_day(session: AsyncSession, peer: str) -> dict[date, int]:
    """Return how many studies of each study date a PACS has, as far as it has said.

    What it was found to have no more is not among them, nor what has no date.
    """
    rows = await session.execute(
        select(StudySource.study_date, func.count())
        .where(
            StudySource.peer == key_of(clean_text(peer)),
            StudySource.gone_on.is_(None),
            StudySource.study_date.is_not(None),
        )
        .group_by(StudySource.study_date)
    )
    return {day.date(): count for day, count in rows if day is not None}
