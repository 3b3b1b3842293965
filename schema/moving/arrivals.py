"""Which attempt has brought an image; pure, but for the last two functions.

An image is of an attempt when who has sent it is known to send for the PACS that was asked, or
says that it does so because we have asked (PS3.7 9.1.1.1.6). Whoever else sends an image of that
study at that time, such as a modality, has sent it by itself: it must not stand in for one that is
missing. An image that comes late, or after the attempt was given up, is the last attempt's.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.moving.senders import Senders
from schema.record import ImageRecord
from schema.tables.columns import utcnow
from schema.tables.ledger import MoveAttempt, RepeatedArrival
from schema.tables.models import StudyFind
from schema.tables.statements import among, insert_new, table_of

_CLOCKS_DIFFER = timedelta(minutes=2)
"""By how much those of who asks and of who receives may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunAttempt:
    """An attempt, as far as it says whose an image is."""

    id: int
    peer: str


def brought_by(
    attempts: Sequence[BegunAttempt], *, source: str | None, originator: str, senders: Senders
) -> int | None:
    """Return the attempt that has brought an image; None when nobody had asked who has sent it.

    Parameters
    ----------
    attempts
        Those for its study that had begun when it came, the latest first.
    source, originator
        Its calling AE title, and the Move Originator of its C-STORE.
    """
    peers = senders.peers.get(source or "", frozenset())
    for one in attempts:
        if one.peer in peers:
            return one.id
    return attempts[0].id if attempts and originator in senders.ours else None


async def attributed(
    session: AsyncSession,
    records: Sequence[tuple[ImageRecord, str]],
    senders: Senders,
) -> list[ImageRecord]:
    """Return records of images with the attempts that have brought them.

    Parameters
    ----------
    records
        Each with the Move Originator of its C-STORE, or "".
    """
    uids = {record.study_uid for record, _ in records}
    query = (
        select(StudyFind.study_uid, MoveAttempt.id, MoveAttempt.peer, MoveAttempt.claimed_on)
        .join(MoveAttempt, MoveAttempt.study_find_id == StudyFind.id)
        .where(among(session, StudyFind.study_uid, sorted(uids)))
        .order_by(MoveAttempt.id.desc())
    )
    attempts: dict[str, list[tuple[BegunAttempt, datetime]]] = {}
    for uid, key, peer, claimed_on in await session.execute(query):
        attempts.setdefault(uid, []).append((BegunAttempt(id=key, peer=peer), claimed_on))
    if not attempts:
        return [record for record, _ in records]
    return [
        replace(
            record,
            attempt_id=brought_by(
                [
                    one
                    for one, since in attempts.get(record.study_uid, ())
                    if record.received_on is None or since <= record.received_on + _CLOCKS_DIFFER
                ],
                source=record.source,
                originator=originator,
                senders=senders,
            ),
        )
        for record, originator in records
    ]


async def note_repeated(session: AsyncSession, pairs: Collection[tuple[int, int]]) -> None:
    """Note that attempts have brought images that were here already: pairs of image and attempt."""
    now = utcnow()
    await insert_new(
        session,
        table_of(RepeatedArrival),
        [
            {"image_id": image, "attempt_id": attempt, "arrived_on": now}
            for image, attempt in sorted(set(pairs))
        ],
        key=["image_id", "attempt_id"],
        returning=["image_id"],
    )
