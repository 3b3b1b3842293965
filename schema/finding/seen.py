"""Studies that a PACS has answered since a moment, whoever asked."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.coverage.asked import AskedDates
from schema.engine.either import either
from schema.header.values import clean_text, key_of
from schema.tables.ledger import FindWindow
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInAll:
    """What several cycles of one find have found together.

    Attributes
    ----------
    windows
        The questions that they have put.
    found, new
        The studies, each of which counts once; and those that no PACS had answered before.
    """

    windows: int
    found: int
    new: int


@either
async def found_in_all(
    session: AsyncSession,
    peer: str,
    *,
    cycles: Collection[int],
    since: datetime,
    asked: Sequence[AskedDates],
) -> FoundInAll:
    """Count what cycles have found together that went on with each other.

    Parameters
    ----------
    since
        When the first of them began, naive UTC.
    asked
        What they were to cover.
    """
    dates = [and_(*of_dates(*ends)) for one in asked for ends in one.dates]
    if any(one.undated for one in asked):
        dates.append(StudySource.study_date.is_(None))
    of_peer = (StudySource.peer == key_of(clean_text(peer)), StudySource.last_seen_on >= since)
    # who was the first to answer a study has made both rows at once
    is_new = and_(StudySource.found_on >= since, StudySource.found_on == StudyFind.found_on)
    counts = (
        select(func.count(), func.count().filter(is_new))
        .select_from(StudySource)
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(*of_peer, or_(false(), *dates))
    )
    found, new = tuple((await session.execute(counts)).one())
    put = select(func.count()).select_from(FindWindow).where(FindWindow.cycle_id.in_(cycles))
    windows = (await session.scalars(put)).one()
    return FoundInAll(windows=windows, found=found, new=new)


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
