"""Studies that a PACS has no more: not answered with the others of its date, nor by its own UID.

A window that is proven makes candidates; gone is what was asked for by its UID in vain. It stays in
the tables with all that the PACS said of it, and is back as soon as the PACS answers it again.
"""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.finding.drawing import STUDY_FACTS, draw
from schema.finding.seen import of_dates
from schema.header.values import clean_text, key_of
from schema.hierarchy.sources import lock_studies, sources_of
from schema.hooking.recording import record_complete
from schema.inventory import count_images
from schema.standing.whole import redraw_whole
from schema.tables.models import GONE, RETRIEVED, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, table_of

_AT_ONCE = 1000
"""Studies that are noted as gone at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """What a find has not seen: the studies of a PACS that were known when it began, and not since.

    Attributes
    ----------
    since
        When the find began (naive UTC): what the PACS has answered since then is there.
    last_key
        The `last_source_key` of that time: what was found by anybody since then is there as well,
        whatever the clock says that it was found by.
    """

    since: datetime
    last_key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedDates:
    """Dates of which a PACS has answered all studies, and what of them it may have no more.

    Attributes
    ----------
    peer
        The configured name of the PACS.
    start, end
        The study dates, both included; None is open. Without either, it is about the studies
        without a date as well.
    unseen
        What was not answered.
    """

    peer: str
    start: date | None
    end: date | None
    unseen: Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedStudy:
    """A study that a PACS has not answered again, and under which date it had."""

    study_uid: str
    study_date: date | None


@either
async def last_source_key(session: AsyncSession) -> int:
    """Return the greatest key of any source so far, or 0."""
    return await session.scalar(select(func.max(StudySource.id))) or 0


@either
async def missed_days(session: AsyncSession, missed: MissedDates) -> dict[date | None, int]:
    """Count by date the studies that a PACS has not answered again: they may be gone."""
    query = (
        select(StudySource.study_date, func.count())
        .where(*_conditions(missed))
        .group_by(StudySource.study_date)
    )
    return {day and day.date(): count for day, count in await session.execute(query)}


@either
async def missed_studies(
    session: AsyncSession, missed: MissedDates, *, limit: int
) -> list[MissedStudy]:
    """Return the first of the studies that `missed_days` counts, by date; at most so many."""
    query = (
        select(StudyFind.study_uid, StudySource.study_date)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(*_conditions(missed))
        .order_by(StudySource.study_date, StudySource.id)
        .limit(limit)
    )
    return [
        MissedStudy(study_uid=uid, study_date=day and day.date())
        for uid, day in await session.execute(query)
    ]


@either
async def mark_gone(
    session: AsyncSession,
    *,
    peer: str,
    study_uids: Collection[str],
    answered: Container[str] = (),
    asked_on: datetime,
) -> list[str]:
    """Note which studies a PACS has no more, after it was asked for each of them by its UID.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    peer
        The configured name of the PACS.
    study_uids
        Those that were asked for, and nothing else.
    answered
        Those of them that it answered; each as the tables have it (`key_of`).
    asked_on
        When the first question began (naive UTC): what was seen since is not gone.

    Returns
    -------
    list[str]
        The Study Instance UIDs of those that are gone now, and were not before.
    """
    name = key_of(clean_text(peer))
    missed = [uid for uid in study_uids if uid not in answered]
    if not missed:
        return []
    rows = {row.id: row for row in await lock_studies(session, missed)}
    marked = await session.execute(
        update(StudySource)
        .where(
            among(session, StudySource.study_find_id, sorted(rows)),
            StudySource.peer == name,
            StudySource.gone_on.is_(None),
            StudySource.last_seen_on < asked_on,  # another find may have seen it meanwhile
        )
        .values(
            gone_on=asked_on,
            state=case((StudySource.state == RETRIEVED, RETRIEVED), else_=GONE),
        )
        .returning(StudySource.study_find_id)
        .execution_options(synchronize_session=False)
    )
    gone = {key: rows[key] for (key,) in marked}
    await _redraw(session, gone, asked_on)
    return sorted(row.study_uid for row in gone.values())


@either
async def mark_all_gone(session: AsyncSession, *, peer: str, on: datetime) -> int:
    """Note that a PACS has nothing any more: its archive is gone for good.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    peer
        The configured name of the PACS.
    on
        Since when (naive UTC): what was seen since is not gone.

    Returns
    -------
    int
        How many studies are gone that were not before.
    """
    count = 0
    left = (
        select(StudyFind.study_uid)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(
            StudySource.peer == key_of(clean_text(peer)),
            StudySource.gone_on.is_(None),
            StudySource.last_seen_on < on,
        )
        .order_by(StudyFind.study_uid)
        .limit(_AT_ONCE)
    )
    while uids := list(await session.scalars(left)):
        count += len(await mark_gone(session, peer=peer, study_uids=uids, asked_on=on))
    return count


def _conditions(missed: MissedDates) -> list[ColumnElement[bool]]:
    return [
        StudySource.peer == key_of(clean_text(missed.peer)),
        StudySource.gone_on.is_(None),
        StudySource.last_seen_on < missed.unseen.since,
        StudySource.id <= missed.unseen.last_key,
        *of_dates(missed.start, missed.end),
    ]


async def _redraw(session: AsyncSession, rows: Mapping[int, Any], on: datetime) -> None:
    """Draw studies anew from the sources that are left."""
    if not rows:
        return
    here = await count_images(session, [row.study_uid for row in rows.values()])
    table = table_of(StudyFind)
    written: list[dict[str, Any]] = []
    for key, sources in (await sources_of(session, rows)).items():
        row = rows[key]
        answers = [one.answer for one in sources]
        live = [one for one in answers if one.gone_on is None]
        drawn = draw(answers, here=here.get(row.study_uid, 0))
        peer = max(live, key=lambda one: one.last_seen_on).peer if live else row.peer
        facts = {
            f"new_{name}": getattr(row, name) if drawn[name] is None else drawn[name]
            for name in STUDY_FACTS
        }
        written.append({"row": key, "new_peer": peer, **facts})
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in (*STUDY_FACTS, "peer")}
    connection = await session.connection()
    await connection.execute(
        update(table).where(table.c.id == bindparam("row")).values(**values, updated_on=on), written
    )
    # what was missing may have been only where the study is no more
    complete = await redraw_whole(session, rows, on=on)
    await record_complete(session, [rows[key].study_uid for key in sorted(complete)])
