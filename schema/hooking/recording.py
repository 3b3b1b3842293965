"""Events are recorded in the transaction of what has happened: there is none without the other.

Only what somebody wants to be told of is written; where nobody does, nothing is asked either.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.hooking.audience import audience_of
from schema.hooking.kinds import EventKind
from schema.tables.columns import CLOCKS_DIFFER
from schema.tables.models import Image, StudyFind
from schema.tables.outbox.deliveries import DeliveryState, EventDelivery
from schema.tables.outbox.events import RecordedEvent
from schema.tables.sources import StudySource
from schema.tables.statements import among, is_postgresql, shared_now, table_of
from schema.text.document import plain

A_DAY = timedelta(days=1)
"""How long an alarm is not repeated."""


@either
async def record_events(
    session: AsyncSession,
    kind: EventKind,
    events: Sequence[Mapping[str, Any]],
    *,
    subject: str | None = None,
) -> int:
    """Record what has happened, for each hook that wants to be told of it.

    Parameters
    ----------
    session
        The caller's, and the one in which it has happened; it is the caller who commits.
    events
        What anybody may know of each: nothing of this is a patient's.
    subject
        Whose alarm it is, and which.

    Returns
    -------
    int
        How many were recorded; 0 where nobody wants them.
    """
    hooks = audience_of(session).of(kind)
    if not hooks or not events:
        return 0
    now = await shared_now(session)
    connection = await session.connection()
    table = table_of(RecordedEvent)
    written = await connection.execute(
        insert(table).returning(table.c.id),
        [
            {
                "uuid": str(uuid4()),
                "kind": kind.value,
                "created_on": now,
                "subject": subject,
                "data": plain(data),
            }
            for data in events
        ],
    )
    await connection.execute(
        insert(table_of(EventDelivery)),
        [
            {"event_id": key, "hook": hook, "state": DeliveryState.WAITING.value, "next_on": now}
            for key in written.scalars().all()
            for hook in hooks
        ],
    )
    return len(events)


async def record_complete(
    session: AsyncSession, study_uids: Collection[str], *, peer: str | None = None
) -> None:
    """Record that studies are complete by now, and were not before.

    Parameters
    ----------
    peer
        The PACS that the last of it came from; None where it was none.
    """
    if not study_uids or not audience_of(session).of(EventKind.STUDY_COMPLETE):
        return
    uids = sorted(study_uids)
    rows = await session.execute(
        select(StudyFind.study_uid, StudyFind.evidence, StudySource.peer)
        .outerjoin(StudySource, StudySource.study_find_id == StudyFind.id)
        .where(among(session, StudyFind.study_uid, uids))
        .order_by(StudyFind.study_uid, StudySource.peer)
    )
    evidence: dict[str, str | None] = {}
    peers: dict[str, list[str]] = {}
    for row in rows:
        evidence[row.study_uid] = row.evidence
        peers.setdefault(row.study_uid, []).extend([] if row.peer is None else [row.peer])
    counted = await session.execute(
        select(Image.study_uid, func.count())
        .where(
            among(session, Image.study_uid, uids),
            or_(Image.filepath.is_not(None), Image.size.is_(None)),
        )
        .group_by(Image.study_uid)
    )
    images = dict(counted.all())
    await record_events(
        session,
        EventKind.STUDY_COMPLETE,
        [
            {
                "study_uid": uid,
                "images": images.get(uid, 0),
                "evidence": evidence[uid],
                "peer": peer,
                "peers": peers[uid],
            }
            for uid in uids
            if uid in evidence
        ],
    )


async def record_alarm(session: AsyncSession, message: str, *, peer: str) -> bool:
    """Record that something needs an operator, unless that was said within a day.

    Parameters
    ----------
    message
        What, in words.
    peer
        At which PACS.

    Returns
    -------
    bool
        Whether it was recorded.
    """
    if not audience_of(session).of(EventKind.ALARM):
        return False
    subject = f"{peer}: {message}"
    if is_postgresql(session):  # two nodes that notice it at the same moment say it once
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(subject, 0))))
    now = await shared_now(session)
    known = select(RecordedEvent.id).where(
        RecordedEvent.subject == subject,
        RecordedEvent.created_on > now - A_DAY,
        RecordedEvent.created_on <= now + CLOCKS_DIFFER,
    )
    if await session.scalar(known.limit(1)) is not None:
        return False
    data = {"peer": peer, "message": message}
    return bool(await record_events(session, EventKind.ALARM, [data], subject=subject))
