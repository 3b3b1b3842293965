"""Which found studies are still to be moved here, and what became of each attempt."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Integer, Update, and_, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from schema.engine.either import either
from schema.finding.standing import attempted, source_standings, verified
from schema.finding.verdict import Lack, MoveAttempt, MoveState, expectation, lack
from schema.header.values import clean_or_none, clean_text, key_of
from schema.hierarchy.links import link_received
from schema.hierarchy.sources import lock_studies
from schema.inventory import count_images
from schema.tables.columns import utcnow
from schema.tables.models import PARTIAL, RETRIEVED, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, table_of

_CLOCKS_DIFFER = timedelta(minutes=2)
"""By how much the clocks of several nodes may."""


@either
async def get_studies_to_move(
    session: AsyncSession,
    *,
    peer: str | None = None,
    study_uids: Sequence[str] | None = None,
    limit: int | None = None,
    due_at: datetime | None = None,
    by_priority: bool = True,
) -> list[StudyFind]:
    """Return the studies that are not retrieved yet: the highest priority first, then by date.

    Parameters
    ----------
    peer
        Only those that this PACS has, and of which not all that it has is verified to be here; and
        those of which no PACS is known.
    study_uids
        Only these.
    limit
        At most so many.
    due_at
        Only those for which the PACS, or any, may be asked at this time (naive UTC). One whose
        attempt is in the future, because the clock has been set back since, may be.
    by_priority
        False leaves the priorities out of the order, as if all had the same.
    """
    query = select(StudyFind).where(StudyFind.retrieved_on.is_(None))
    due = _due(StudyFind.next_attempt_on, due_at)
    if peer is not None:
        name = key_of(clean_text(peer))
        other = aliased(StudySource)
        anywhere = select(other.id).where(other.study_find_id == StudyFind.id)
        is_open = anywhere.where(other.gone_on.is_(None), other.verified_on.is_(None))
        there = select(StudySource.id).where(
            StudySource.study_find_id == StudyFind.id,
            StudySource.peer == name,
            StudySource.gone_on.is_(None),
            # an administrator may have opened the study, and not its sources
            or_(StudySource.verified_on.is_(None), ~is_open.exists()),
            *_due(StudySource.next_attempt_on, due_at),
        )
        unknown = or_(StudyFind.peer == clean_text(peer), StudyFind.peer.is_(None))
        query = query.where(or_(there.exists(), and_(~anywhere.exists(), unknown, *due)))
    else:
        query = query.where(*due)
    if study_uids is not None:
        query = query.where(among(session, StudyFind.study_uid, list(study_uids)))
    if by_priority:
        query = query.order_by(StudyFind.priority.desc())
    query = query.order_by(StudyFind.study_date.asc().nulls_last(), StudyFind.id).limit(limit)
    return list(await session.scalars(query.execution_options(populate_existing=True)))


def _due(
    column: InstrumentedAttribute[datetime | None], at: datetime | None
) -> tuple[ColumnElement[bool], ...]:
    if at is None:
        return ()
    # a row that was written in the future: since then the clock has been set back
    ahead = StudyFind.updated_on > at + _CLOCKS_DIFFER
    return (or_(column.is_(None), column <= at, ahead),)


async def get_move_states(
    session: AsyncSession, study_uids: Collection[str], *, peer: str
) -> dict[str, MoveState]:
    """Return where studies stand at a PACS, by UID; what nobody has found has not been moved."""
    columns = (StudyFind.attempts, StudyFind.retrieved_on, StudyFind.expected_images)
    query = select(StudyFind.study_uid, *columns).where(
        among(session, StudyFind.study_uid, sorted(study_uids))
    )
    found = {row.study_uid: row for row in await session.execute(query)}
    counts = await count_images(session, study_uids)
    there = await source_standings(session, study_uids, peer=peer)
    return {
        uid: MoveState(
            attempts=(found[uid].attempts or 0) if uid in found else 0,
            retrieved=there[uid].verified or (uid in found and found[uid].retrieved_on is not None),
            images=counts[uid],
            expected=found[uid].expected_images if uid in found else None,
            shared=there[uid].shared,
            said=there[uid].said,
        )
        for uid in study_uids
    }


def claim_of(study_uid: str) -> str:
    """Return the name under which who moves a study, from whichever PACS, claims that."""
    return f"move {study_uid}"


@either
async def get_study_uids_to_move(session: AsyncSession) -> list[str]:
    """Return the Study Instance UIDs of the studies that are not retrieved yet, in that order."""
    query = (
        select(StudyFind.study_uid)
        .where(StudyFind.retrieved_on.is_(None))
        .order_by(StudyFind.priority.desc(), StudyFind.study_date.asc().nulls_last(), StudyFind.id)
    )
    return list(await session.scalars(query))


@either
async def set_priority(session: AsyncSession, study_uids: Collection[str], priority: int) -> int:
    """Give found studies a priority: those with a higher one are moved first; return how many."""
    wanted = among(session, StudyFind.study_uid, sorted(set(study_uids)))
    done = await session.scalars(
        update(StudyFind)
        .where(wanted)
        .values(priority=priority, updated_on=utcnow())
        .returning(StudyFind.id)
        .execution_options(synchronize_session=False)
    )
    return len(done.all())


@either
async def update_retrieved_study(
    session: AsyncSession, study_uid: str, *, peer: str | None = None
) -> StudyFind | None:
    """Note that a study is here, verified to be complete.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    study_uid
        Its Study Instance UID.
    peer
        The PACS of which all that it has is here; None means all PACSs. The study is complete when
        that was the last of those that have it.

    Returns
    -------
    StudyFind | None
        With `retrieved_on`, which is set once; None when no such study was found.
    """
    await _set_retrieved(session, [study_uid], peer=peer)
    return await _fresh(session, study_uid)


@either
async def record_move_attempt(
    session: AsyncSession,
    study_uid: str,
    *,
    state: str,
    error: str | None = None,
    next_attempt_on: datetime | None = None,
    expected_images: int | None = None,
    peer: str | None = None,
) -> StudyFind | None:
    """Count one more attempt to move a study, and note what it came to.

    Parameters
    ----------
    state
        moving, partial, empty, failed or found.
    error
        What went wrong, in words.
    next_attempt_on
        When to ask again (naive UTC); None means at any time.
    expected_images
        When the attempt has learnt how many images there are.
    peer
        The PACS that was asked. Where others have the study as well, only this one waits until
        then; and there are no fewer images than any of these says.

    Returns
    -------
    StudyFind | None
        As it is now; None when no such study was found.
    """
    attempt = MoveAttempt(
        study_uid=study_uid,
        state=state,
        error=error,
        next_attempt_on=next_attempt_on,
        expected_images=expected_images,
    )
    await _count_attempts(session, [attempt], peer=peer)
    return await _fresh(session, study_uid)


async def record_move_attempts(
    session: AsyncSession, attempts: Sequence[MoveAttempt], *, peer: str
) -> dict[str, Lack]:
    """Count attempts to move studies, and note which of these are complete now.

    Each is held once more against what is recorded and against the index. A study that lacks
    something after all is `partial`, and to be asked for again at any time. One that was found to
    be complete since the attempt began, by another node, stays that.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    attempts
        Of distinct studies; those that nobody has found are passed over.
    peer
        The PACS that was asked, as for `record_move_attempt` and `update_retrieved_study`.

    Returns
    -------
    dict[str, Lack]
        The studies that are not complete although their attempt says so, by Study Instance UID.
    """
    uids = [one.study_uid for one in attempts]
    await lock_studies(session, uids)  # until the end nobody reopens them, or lets them grow
    states = await get_move_states(session, uids, peer=peer)
    lacks: dict[str, Lack] = {}
    judged: list[MoveAttempt] = []
    for one in attempts:
        now = states[one.study_uid]
        if now.retrieved and one.state != RETRIEVED and one.seen and not one.seen.retrieved:
            continue  # since it began, another node has seen to it
        attempt = replace(one, expected_images=expectation(one, now))
        if (found := lack(one, now, peer)) is not None:
            lacks[one.study_uid] = found
            attempt = replace(attempt, state=PARTIAL, error=found.reason, next_attempt_on=None)
        judged.append(attempt)
    await _count_attempts(session, judged, peer=peer)
    retrieved = [one.study_uid for one in judged if one.state == RETRIEVED]
    await _set_retrieved(session, retrieved, peer=peer)
    return lacks


async def _count_attempts(
    session: AsyncSession, attempts: Sequence[MoveAttempt], *, peer: str | None
) -> None:
    table = table_of(StudyFind)
    statement = (
        update(table)
        .where(table.c.study_uid == bindparam("study"))
        .values(
            state=bindparam("new_state"),
            attempts=table.c.attempts + 1,
            last_error=bindparam("error"),
            next_attempt_on=bindparam("due"),
            updated_on=utcnow(),
            expected_images=func.coalesce(
                bindparam("images", type_=Integer), table.c.expected_images
            ),
        )
    )
    rows = [
        {
            "study": one.study_uid,
            "new_state": one.state,
            "error": clean_or_none(one.error),
            "due": one.next_attempt_on,
            "images": one.expected_images,
        }
        for one in sorted(attempts, key=lambda one: one.study_uid)
    ]
    if not rows:
        return
    connection = await session.connection()
    await connection.execute(statement, rows)
    if peer is not None:
        dues = {one.study_uid: one.next_attempt_on for one in attempts}
        await attempted(session, dues, peer=peer)


async def _set_retrieved(
    session: AsyncSession, study_uids: Sequence[str], *, peer: str | None
) -> None:
    if not study_uids:
        return
    now = utcnow()
    await session.execute(
        _open(session, study_uids).values(
            state=PARTIAL, last_error=None, next_attempt_on=None, updated_on=now
        )
    )
    if whole := await verified(session, study_uids, peer=peer, on=now):
        await session.execute(_open(session, whole).values(retrieved_on=now, state=RETRIEVED))
    await link_received(session, study_uids)


def _open(session: AsyncSession, study_uids: Collection[str]) -> Update:
    """Return an UPDATE of those of these studies that are not retrieved."""
    wanted = among(session, StudyFind.study_uid, sorted(study_uids))
    return (
        update(StudyFind)
        .where(wanted, StudyFind.retrieved_on.is_(None))
        .execution_options(synchronize_session=False)
    )


async def _fresh(session: AsyncSession, study_uid: str) -> StudyFind | None:
    query = (
        select(StudyFind)
        .where(StudyFind.study_uid == study_uid)
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).one_or_none()
