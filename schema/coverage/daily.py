"""How many studies a PACS has of each date, and since when they are known: from their sources."""

from datetime import date, datetime, time

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.coverage.drift import StudyDay
from schema.engine.either import either
from schema.header.values import clean_text, key_of
from schema.tables.sources import StudySource


@either
async def get_study_days(
    session: AsyncSession,
    peer: str,
    *,
    first: date | None = None,
    last: date | None = None,
    found_since: datetime | None = None,
) -> list[StudyDay]:
    """Return the dates of which a PACS has studies, the earliest first.

    Parameters
    ----------
    peer
        Its configured name.
    first, last
        Only these dates, both included.
    found_since
        Only the studies that were found there after this moment (naive UTC).
    """
    source = StudySource
    wanted = [
        source.peer == key_of(clean_text(peer)),
        source.study_date.is_not(None),
        source.gone_on.is_(None),
    ]
    if first is not None:
        wanted.append(source.study_date >= datetime.combine(first, time()))
    if last is not None:
        wanted.append(source.study_date <= datetime.combine(last, time()))
    if found_since is not None:
        wanted.append(source.found_on > found_since)
    rows = await session.execute(
        select(source.study_date, func.count(), func.max(source.found_on))
        .where(*wanted)
        .group_by(source.study_date)
        .order_by(source.study_date)
    )
    return [
        StudyDay(day=day.date(), studies=studies, found_on=found_on)
        for day, studies, found_on in rows
        if day is not None
    ]
