"""Studies that a PACS has answered since a moment, whoever asked."""

from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.header.values import clean_text, key_of
from schema.tables.models import StudyFind
from schema.tables.sources import StudySource


@either
async def seen_of_dates(
    session: AsyncSession,
    peer: str,
    *,
    since: datetime,
    start: date | None,
    end: date | None,
    after: int = 0,
    limit: int,
) -> list[tuple[int, str]]:
    """Return studies of some dates, with the keys of their sources and in their order.

    Parameters
    ----------
    since
        Naive UTC.
    start, end
        The study dates, both included.
    after
        The last key that was returned before.
    """
    query = _seen(peer, since).where(StudySource.id > after, *of_dates(start, end))
    rows = await session.execute(query.order_by(StudySource.id).limit(limit))
    return [(key, uid) for key, uid in rows]


def of_dates(start: date | None, end: date | None) -> list[ColumnElement[bool]]:
    """Return the conditions for sources of some study dates, both included; None is open."""
    conditions: list[ColumnElement[bool]] = []
    if start is not None:
        conditions.append(StudySource.study_date >= start)
    if end is not None:
        conditions.append(StudySource.study_date <= end)
    return conditions


def _seen(peer: str, since: datetime) -> Select[int, str]:
    return (
        select(StudySource.id, StudyFind.study_uid)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(
            StudySource.peer == key_of(clean_text(peer)),
            StudySource.gone_on.is_(None),
            StudySource.last_seen_on >= since,
        )
    )
