"""Which found studies are still to be moved here, and what became of each attempt."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Update, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.open_studies import in_order, open_at
from schema.engine.either import either
from schema.finding.standing import attempted, source_standings, verified
from schema.header.values import clean_or_none
from schema.hierarchy.links import link_received
from schema.hierarchy.sources import lock_studies
from schema.hooking.recording import record_complete
from schema.inventory import count_images
from schema.moving.history import Unsent, repairs_in_vain, unsent_images
from schema.tables.columns import utcnow
from schema.tables.models import HELD, PARTIAL, RETRIEVED, StudyFind
from schema.tables.sources import StudySource
from schema.tables.statements import among, table_of


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
    query = open_at(session, select(StudyFind), peer=peer, study_uids=study_uids, due_at=due_at)
    query = in_order(query, by_priority=by_priority).limit(limit)
    return list(await session.scalars(query.execution_options(populate_existing=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveState:
    """Where a found study stands at a PACS, at this moment.

    Attributes
    ----------
    found
        Whether anybody has found it, and its row is there.
    attempts
        How often it has been moved.
    retrieved
        Whether all that the PACS has of it is here.
    images
        How many of its images are in the index.
    told, said_images, said_series
        How many the PACS has, by its own word or counted; and its own numbers of images and of
        series. None when nobody knows.
    known
        Whether the PACS has ever answered it.
    in_vain
        Whether the last attempt at this PACS asked for single series or images, and brought none.
    unsent
        SOP Instance UIDs that it could not send, since it was last asked for the whole study.
    held
        Whether an operator does not want it to be asked for there.
    """

    found: bool
    attempts: int
    retrieved: bool
    images: int
    told: int | None = None
    said_images: int | None = None
    said_series: int | None = None
    known: bool = False
    in_vain: bool = False
    unsent: frozenset[str] = frozenset()
    held: bool = False


async def get_move_states(
    session: AsyncSession, study_uids: Collection[str], *, peer: str
) -> dict[str, MoveState]:
    """Return where studies stand at a PACS, by UID; what nobody has found has not been moved."""
    columns = (StudyFind.id, StudyFind.attempts, StudyFind.retrieved_on, StudyFind.expected_images)
    query = select(StudyFind.study_uid, StudyFind.state, *columns).where(
        among(session, StudyFind.study_uid, sorted(study_uids))
    )
    found = {row.study_uid: row for row in await session.execute(query)}
    counts = await count_images(session, study_uids)
    there = await source_standings(session, study_uids, peer=peer)
    keys = [row.id for row in found.values()]
    in_vain = await repairs_in_vain(session, keys, peer=peer)
    unsent = await unsent_images(session, keys, peer=peer)
    states: dict[str, MoveState] = {}
    for uid in study_uids:
        row, source = found.get(uid), there[uid]
        states[uid] = MoveState(
            found=row is not None,
            attempts=0 if row is None else row.attempts or 0,
            retrieved=source.verified or (row is not None and row.retrieved_on is not None),
            images=counts[uid],
            told=row.expected_images if row is not None and not source.known else source.told,
            said_images=source.images,
            said_series=source.series,
            known=source.known,
            in_vain=row is not None and row.id in in_vain,
            unsent=frozenset() if row is None else unsent.get(row.id, Unsent()).uids,
            held=source.held or (row is not None and not source.known and row.state == HELD),
        )
    return states


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
    keys = done.all()
    await session.execute(
        update(StudySource)
        .where(among(session, StudySource.study_find_id, sorted(keys)))
        .values(rank=-priority)
        .execution_options(synchronize_session=False)
    )
    return len(keys)


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
        pending, moving, partial, empty or failed.
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
    await lock_studies(session, [study_uid])
    table = table_of(StudyFind)
    await session.execute(
        update(table)
        .where(table.c.study_uid == study_uid)
        .values(
            state=state,
            attempts=table.c.attempts + 1,
            last_error=clean_or_none(error),
            next_attempt_on=next_attempt_on,
            updated_on=utcnow(),
            expected_images=func.coalesce(expected_images, table.c.expected_images),
        )
    )
    if peer is not None:
        await attempted(session, {study_uid: next_attempt_on}, peer=peer)
    return await _fresh(session, study_uid)


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
        closed = await session.scalars(
            _open(session, whole)
            .values(retrieved_on=now, state=RETRIEVED)
            .returning(StudyFind.study_uid)
        )
        await record_complete(session, closed.all(), peer=peer)
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
