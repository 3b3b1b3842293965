"""How many studies a PACS is known to have, day by day, and at which times of a day."""

from datetime import date

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.finding.seen import of_dates
from schema.header.values import clean_text, key_of
from schema.tables.sources import StudySource

_MOST = 200_000
"""Studies whose times are read, which takes a second; of later days they are taken to be even."""


@either
async def known_per_day(session: AsyncSession, peer: str) -> dict[date, int]:
    """Return how many studies of each study date a PACS has, as far as it has said.

    What it was found to have no more is not among them, nor what has no date.
    """
    rows = await session.execute(
        select(StudySource.study_date, func.count())
        .where(*_dated_at(peer))
        .group_by(StudySource.study_date)
    )
    return {day.date(): count for day, count in rows if day is not None}


@either
async def known_minutes(
    session: AsyncSession, peer: str, *, above: int, start: date, end: date
) -> dict[date, list[int]]:
    """Return the minutes of the day, in order, of the studies of days with more than so many.

    Parameters
    ----------
    above
        Studies of a day that are not too many: other days are left out.
    start, end
        The study dates, both included.
    """
    wanted = (*_dated_at(peer), *of_dates(start, end))
    dense = select(StudySource.study_date).where(*wanted).group_by(StudySource.study_date)
    rows = await session.execute(
        select(StudySource.study_date, StudySource.study_time)
        .where(*wanted, StudySource.study_date.in_(dense.having(func.count() > above)))
        .order_by(StudySource.study_date, StudySource.study_time)
        .limit(_MOST)
    )
    minutes: dict[date, list[int]] = {}
    for day, moment in rows:
        if day is not None:
            of_day = minutes.setdefault(day.date(), [])
            of_day += [] if moment is None else [moment.hour * 60 + moment.minute]
    return minutes


def _dated_at(peer: str) -> tuple[ColumnElement[bool], ...]:
    return (
        StudySource.peer == key_of(clean_text(peer)),
        StudySource.gone_on.is_(None),
        StudySource.study_date.is_not(None),
    )
