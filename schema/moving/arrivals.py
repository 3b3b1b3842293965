"""Which attempt has brought an image, and for which PACSs it is news that it has come.

An image is of an attempt when who has sent it is known to send for the PACS that was asked, or
says that it does so because we have asked (PS3.7 9.1.1.1.6). Whoever else sends an image of that
study at that time, such as a modality, has sent it by itself: it must not stand in for one that is
missing. An image that comes late, or after the attempt was given up, is the last attempt's.

    what comes                                     for a PACS              what follows there
    ──────────────────────────────────────────────────────────────────────────────────────────
    an image that was not here, from anywhere      that was given up       ready, as new
    an image that it had not sent before           that was given up       ready, as new
    the same                                       that waits for its      due in `SOON`, as new
                                                   next attempt
    the last one that another PACS has             of either kind          ready, as new

All may be here then, and who is never asked again is never judged again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.hierarchy.sources import lock_studies
from schema.images import Added, add_images
from schema.moving.senders import Senders, peer_key
from schema.record import ImageRecord
from schema.standing.whole import standings_of, whole
from schema.tables.columns import utcnow
from schema.tables.ledger import MoveAttempt, RepeatedArrival
from schema.tables.models import Image, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, insert_new, table_of

SOON = timedelta(minutes=5)
"""What comes late seldom comes alone: a PACS that sends is not asked at once for the rest of it."""

_CLOCKS_DIFFER = timedelta(minutes=2)
"""By how much those of who asks and of who receives may."""

_AS_NEW = {"given_up_on": None, "attempts": 0, "vain_attempts": 0}


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
    """Return records of images, which come now, with the attempts that have brought them.

    Those for which that is news are asked again: see the table above.

    Parameters
    ----------
    records
        Each with the Move Originator of its C-STORE, or "".
    """
    uids = {record.study_uid for record, _ in records}
    later = StudySource.next_attempt_on > utcnow() + SOON
    query = (
        select(StudyFind.study_uid, MoveAttempt.id, MoveAttempt.peer, MoveAttempt.claimed_on)
        .add_columns(StudySource.id, StudySource.given_up_on)
        .join(MoveAttempt, MoveAttempt.study_find_id == StudyFind.id)
        .outerjoin(
            StudySource,
            and_(
                StudySource.study_find_id == StudyFind.id,
                StudySource.peer == MoveAttempt.peer,
                or_(StudySource.given_up_on.is_not(None), later),
            ),
        )
        .where(among(session, StudyFind.study_uid, sorted(uids)))
        .order_by(MoveAttempt.id.desc())
    )
    attempts: dict[str, list[tuple[BegunAttempt, datetime]]] = {}
    idle: dict[str, dict[str, _Idle]] = {}
    for uid, key, peer, claimed_on, source, given_up_on in await session.execute(query):
        attempts.setdefault(uid, []).append((BegunAttempt(id=key, peer=peer), claimed_on))
        if source is not None:
            idle.setdefault(uid, {})[peer] = _Idle(id=source, given_up=given_up_on is not None)
    if not attempts:
        return [record for record, _ in records]
    attributed_ones = [
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
    if idle:
        peers = {one.id: one.peer for several in attempts.values() for one, _ in several}
        await _tell_idle(session, attributed_ones, idle, peers)
    return attributed_ones


async def add_unasked(session: AsyncSession, records: Sequence[ImageRecord]) -> list[Added]:
    """Insert images that nobody has sent: files of a folder, or what was in quarantine.

    Returns
    -------
    list
        What became of each.
    """
    return await add_images(
        session, await attributed(session, [(record, "") for record in records], Senders())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Idle:
    """A source of a study that is not asked for it for now; `given_up`: or ever."""

    id: int
    given_up: bool


async def _tell_idle(
    session: AsyncSession,
    records: Sequence[ImageRecord],
    idle: Mapping[str, Mapping[str, _Idle]],
    peers: Mapping[int, str],
) -> None:
    """Let sources be asked again for which it is news that images have come.

    It is before these are inserted: who writes a source locks the row of its study first.

    Parameters
    ----------
    idle
        By Study Instance UID and PACS.
    peers
        Of the attempts, by their keys.
    """
    of_them = [record for record in records if record.study_uid in idle]
    known = among(session, Image.image_uid, sorted({record.image_uid for record in of_them}))
    first = (
        select(Image.image_uid, MoveAttempt.peer)
        .outerjoin(MoveAttempt, MoveAttempt.id == Image.attempt_id)
        .where(known, or_(Image.filepath.is_not(None), Image.size.is_(None)))
    )
    again = (
        select(Image.image_uid, MoveAttempt.peer)
        .join(RepeatedArrival, RepeatedArrival.image_id == Image.id)
        .join(MoveAttempt, MoveAttempt.id == RepeatedArrival.attempt_id)
        .where(known)
    )
    brought = {(uid, peer) for uid, peer in await session.execute(union_all(first, again))}
    here = {uid for uid, _ in brought}
    news: dict[bool, set[int]] = {}
    studies: set[str] = set()
    for record in of_them:
        by = None if record.attempt_id is None else peers.get(record.attempt_id)
        for peer, one in idle[record.study_uid].items():
            is_new = one.given_up and record.image_uid not in here
            if is_new or (by == peer and (record.image_uid, peer) not in brought):
                news.setdefault(one.given_up, set()).add(one.id)
                studies.add(record.study_uid)
    if not news:
        return
    keys = [row.id for row in await lock_studies(session, studies)]
    for given_up, ids in news.items():
        due = None if given_up else utcnow() + SOON
        these = among(session, StudySource.id, sorted(ids))
        await _ask_again(session, these, due=due)
    for key, sources in (await standings_of(session, keys)).items():
        await session.execute(
            update(StudyFind)
            .where(StudyFind.id == key, StudyFind.retrieved_on.is_(None))
            .values(next_attempt_on=whole(sources).due)
            .execution_options(synchronize_session=False)
        )


async def tell_others(session: AsyncSession, study_ids: Collection[int], *, peer: str) -> None:
    """Let the other sources of studies be asked again, of which all that a PACS has has come.

    Parameters
    ----------
    study_ids
        Keys of studies, whose rows are the caller's.
    peer
        The PACS.
    """
    if study_ids:
        of_others = among(session, StudySource.study_find_id, sorted(study_ids))
        await _ask_again(session, of_others & (StudySource.peer != peer_key(peer)), due=None)


async def _ask_again(
    session: AsyncSession, which: ColumnElement[bool], *, due: datetime | None
) -> None:
    idle = or_(StudySource.given_up_on.is_not(None), StudySource.next_attempt_on.is_not(None))
    await session.execute(
        update(StudySource)
        .where(which, StudySource.verified_on.is_(None), idle)
        .values(next_attempt_on=due, **_AS_NEW)
        .execution_options(synchronize_session=False)
    )


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
