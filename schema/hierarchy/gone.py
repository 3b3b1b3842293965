"""Studies that a PACS has no more: what was not answered, where the answer was complete.

A study is gone at a PACS only when a question proves it. It stays in the tables with all that the
PACS said of it, and is back as soon as the PACS answers it again.
"""

from collections.abc import Collection, Container, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.finding.drawing import STUDY_FACTS, draw
from schema.header.values import clean_text, key_of
from schema.hierarchy.sources import lock_studies, sources_of
from schema.inventory import count_images
from schema.tables.models import RETRIEVED, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, table_of


@either
async def unseen_dates(session: AsyncSession, *, peer: str, since: datetime) -> list[date]:
    """Return the study dates, as a PACS said them, of the studies that it has not answered since.

    The earliest comes first. Studies that the PACS is known to have no more do not count; those of
    which it has never said a date have the earliest date that there is.

    Parameters
    ----------
    since
        Naive UTC.
    """
    dates = await session.scalars(
        select(StudySource.study_date)
        .where(
            StudySource.peer == key_of(clean_text(peer)),
            StudySource.gone_on.is_(None),
            StudySource.last_seen_on < since,
        )
        .distinct()
    )
    return sorted(date.min if moment is None else moment.date() for moment in dates)


@either
async def mark_gone_in_window(
    session: AsyncSession,
    *,
    peer: str,
    start_date: date | None,
    end_date: date | None,
    answered: Container[str],
    asked_on: datetime,
    seen_since: datetime | None = None,
) -> list[str]:
    """Note which studies a PACS has no more, after it has answered a window to its end.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    peer
        The configured name of the PACS.
    start_date, end_date
        The study dates asked for, both included, and nothing else: no other key, no times. Without
        either, all that the PACS has was asked for, studies without a date included. A study of
        which this PACS has never said a date is in no other window.
    answered
        The Study Instance UIDs of all answers, those outside of the window included: a study whose
        date has changed is not gone. Each as the tables have it (`key_of`); what was recorded as
        seen need not be there.
    asked_on
        When the question began (naive UTC): what was seen since is not gone.
    seen_since
        An earlier time, of which the same is true: of the find that the question is one of.

    Returns
    -------
    list[str]
        The Study Instance UIDs of those that are gone now, and were not before.
    """
    date_said = StudySource.study_date
    inside: list[ColumnElement[bool]] = []
    if start_date is not None:
        inside.append(date_said >= _midnight(start_date))
    if end_date is not None:
        inside.append(date_said <= _midnight(end_date))
    seen = asked_on if seen_since is None else min(asked_on, seen_since)
    return await _mark(session, peer, and_(true(), *inside), answered, on=asked_on, since=seen)


@either
async def mark_gone(
    session: AsyncSession,
    *,
    peer: str,
    study_uids: Collection[str],
    answered: Container[str],
    asked_on: datetime,
) -> list[str]:
    """Note which studies a PACS has no more, after it was asked for them by their UIDs.

    Parameters
    ----------
    study_uids
        Those that were asked for, and nothing else; one by one, or in lists that the PACS is known
        to understand.

    Returns
    -------
    list[str]
        As `mark_gone_in_window`; the other parameters, too.
    """
    wanted = among(session, StudyFind.study_uid, sorted(study_uids))
    return await _mark(session, peer, wanted, answered, on=asked_on, since=asked_on)


async def _mark(
    session: AsyncSession,
    peer: str,
    condition: ColumnElement[bool],
    answered: Container[str],
    *,
    on: datetime,
    since: datetime,
) -> list[str]:
    name = key_of(clean_text(peer))
    unseen = (
        select(StudyFind.study_uid)
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(
            StudySource.peer == name,
            StudySource.gone_on.is_(None),
            StudySource.last_seen_on < since,
            condition,
        )
    )
    missed = {uid for uid in await session.scalars(unseen) if uid not in answered}
    if not missed:
        return []
    rows = {row.id: row for row in await lock_studies(session, missed)}
    marked = await session.execute(
        update(StudySource)
        .where(
            among(session, StudySource.study_find_id, sorted(rows)),
            StudySource.peer == name,
            StudySource.gone_on.is_(None),
            StudySource.last_seen_on < since,  # another find may have seen it meanwhile
        )
        .values(gone_on=on)
        .returning(StudySource.study_find_id)
        .execution_options(synchronize_session=False)
    )
    gone = {key: rows[key] for (key,) in marked}
    await _redraw(session, gone, on)
    return sorted(row.study_uid for row in gone.values())


async def _redraw(session: AsyncSession, rows: Mapping[int, Any], on: datetime) -> None:
    """Draw studies anew from the sources that are left."""
    if not rows:
        return
    here = await count_images(session, [row.study_uid for row in rows.values()])
    table = table_of(StudyFind)
    written: list[dict[str, Any]] = []
    complete: list[int] = []
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
        if live and not any(one.open for one in live) and row.retrieved_on is None:
            complete.append(key)
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in (*STUDY_FACTS, "peer")}
    connection = await session.connection()
    await connection.execute(
        update(table).where(table.c.id == bindparam("row")).values(**values, updated_on=on), written
    )
    if complete:  # what was missing was only where the study is no more
        await connection.execute(
            update(table)
            .where(among(session, StudyFind.id, complete))
            .values(retrieved_on=on, state=RETRIEVED, last_error=None, next_attempt_on=None)
        )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - as the columns keep dates
