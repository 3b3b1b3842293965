"""What others have asked of us is given to one node, and what becomes of it is taken down.

Who has claimed a request has it for a while, and says now and then that it still is at it; when
nothing is heard, its process has died, and it is another's. What is to be verified stays with the
node that has taken the request for longer: it has the files. All moments are of the clock that the
nodes share (`schema.tables.statements.shared_now`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.committing.outcomes import COMMITTED, count_outcomes, forget_outcomes
from schema.header.values import clean_or_none
from schema.tables.columns import CLOCKS_DIFFER
from schema.tables.committing.commitments import (
    CommitmentRole,
    CommitmentState,
    StorageCommitment,
)
from schema.tables.statements import among, shared_now

_OTHERS = timedelta(hours=1)
"""After which another node finds out what one has taken that is gone."""

_KEEP = timedelta(days=30)
_KEEP_UNANSWERED = timedelta(days=90)
"""For how long what has come to its end is kept; and what we have asked, and nobody answers."""

_AT_ONCE = 20
"""Requests that are deleted in one statement, each with up to some hundred thousand items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committer:
    """Who is at it: a node's AE title, its process, and which of that number; as in `cycles`."""

    node: str
    pid: int
    process: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedCommitment:
    """A request that is ours to go on with.

    Attributes
    ----------
    created_on, claimed_on
        When it was asked for, and when it was claimed: naive UTC.
    """

    id: int
    aetitle: str
    transaction_uid: str
    peer: str | None
    state: str
    attempts: int
    created_on: datetime
    claimed_on: datetime


async def is_anything_due(session: AsyncSession, *, worker: Committer) -> bool:
    """Tell whether there is anything to claim: who asks each second should not write for that."""
    due = select(StorageCommitment.id).where(*_due(worker, await shared_now(session))).limit(1)
    return (await session.scalars(due)).first() is not None


async def claim_commitments(
    session: AsyncSession, *, most: int, worker: Committer, lease: float
) -> list[ClaimedCommitment]:
    """Claim what is due: what others are at is passed over.

    Parameters
    ----------
    most
        How many at most.
    lease
        Seconds after which it is another's, when nothing is heard of it.
    """
    now = await shared_now(session)
    chosen = await session.scalars(
        select(StorageCommitment.id)
        .where(*_due(worker, now))
        .order_by(StorageCommitment.next_on, StorageCommitment.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    keys = list(chosen)
    if not keys:
        return []
    await session.execute(
        update(StorageCommitment)
        .where(among(session, StorageCommitment.id, keys))
        .values(
            next_on=now + timedelta(seconds=lease),
            started_on=now,
            node=worker.node,
            pid=worker.pid,
            process=worker.process,
        )
        .execution_options(synchronize_session=False)
    )
    await _find_out_anew(session, keys)
    query = (
        select(
            StorageCommitment.id,
            StorageCommitment.aetitle,
            StorageCommitment.transaction_uid,
            StorageCommitment.peer,
            StorageCommitment.state,
            StorageCommitment.attempts,
            StorageCommitment.created_on,
        )
        .where(among(session, StorageCommitment.id, keys))
        .order_by(StorageCommitment.id)
    )
    rows = (await session.execute(query)).mappings()
    return [ClaimedCommitment(**row, claimed_on=now) for row in rows]


async def keep_claims(
    session: AsyncSession,
    claimed: Collection[ClaimedCommitment],
    *,
    worker: Committer,
    lease: float,
) -> set[int]:
    """Say that we still are at these; return the ids of those that are ours still."""
    now = await shared_now(session)
    ours: set[int] = set()
    for one in claimed:
        kept = await session.scalars(
            update(StorageCommitment)
            .where(*_ours(one, worker))
            .values(next_on=now + timedelta(seconds=lease))
            .returning(StorageCommitment.id)
            .execution_options(synchronize_session=False)
        )
        ours.update(kept)
    return ours


async def is_verified(session: AsyncSession, one: ClaimedCommitment, *, worker: Committer) -> bool:
    """Take down that it is known of all objects what is committed; False: it is ours no more."""
    counts = await count_outcomes(session, one.id)
    committed = counts.get(COMMITTED, 0)
    values = {
        "state": CommitmentState.REPORTING.value,
        "settled_on": await shared_now(session),
        "committed": committed,
        "failed": sum(counts.values()) - committed,
    }
    return await _change(session, one, worker, values)


async def is_done(session: AsyncSession, one: ClaimedCommitment, *, worker: Committer) -> bool:
    """Take down that the report was taken; False: it is ours no more.

    What has been asked for again meanwhile is found out again.
    """
    if await _is_asked_again(session, one, worker):
        return True
    values = {
        "state": CommitmentState.DONE.value,
        "done_on": await shared_now(session),
        "attempts": one.attempts + 1,
        "reason": None,
        "pid": None,
    }
    return await _change(session, one, worker, values)


async def was_not_taken(
    session: AsyncSession,
    one: ClaimedCommitment,
    *,
    worker: Committer,
    reason: str,
    again_in: float | None,
) -> bool:
    """Take down that a report was not taken; False: it is ours no more.

    What has been asked for again meanwhile is found out again.

    Parameters
    ----------
    again_in
        Seconds after which it is tried again; None: it is given up.
    """
    if await _is_asked_again(session, one, worker):
        return True
    now = await shared_now(session)
    values: dict[str, Any] = {
        "attempts": one.attempts + 1,
        "reason": clean_or_none(reason),
        "next_on": now + timedelta(seconds=again_in or 0),
        "pid": None,
    }
    if again_in is None:
        values |= {"state": CommitmentState.GIVEN_UP.value, "done_on": now}
    return await _change(session, one, worker, values)


async def let_go(
    session: AsyncSession,
    claimed: Collection[ClaimedCommitment],
    *,
    worker: Committer,
    again_in: float = 0.0,
) -> None:
    """Give back what was not brought to its end, for whoever is there after so many seconds."""
    due = await shared_now(session) + timedelta(seconds=again_in)
    for one in claimed:
        await _change(session, one, worker, {"pid": None, "next_on": due})


async def release_commitments(
    session: AsyncSession, node: str, *, alive: Callable[[int, str | None], bool | None]
) -> int:
    """Let go of what processes of a node had claimed that have died; return how many there were.

    Parameters
    ----------
    alive
        Tells whether a process runs; None: nobody can say, and its time has to run out.
    """
    claimed = select(StorageCommitment.id, StorageCommitment.pid, StorageCommitment.process).where(
        StorageCommitment.done_on.is_(None),
        StorageCommitment.pid.is_not(None),
        StorageCommitment.node == node,
    )
    dead = [
        key
        for key, pid, process in await session.execute(claimed)
        if pid is not None and alive(pid, process) is False
    ]
    if dead:
        await session.execute(
            update(StorageCommitment)
            .where(among(session, StorageCommitment.id, dead), StorageCommitment.done_on.is_(None))
            .values(pid=None, next_on=await shared_now(session))
            .execution_options(synchronize_session=False)
        )
    return len(dead)


async def expire_commitments(session: AsyncSession) -> int:
    """Delete some of what came to its end long ago, or was never answered; return how many."""
    now = await shared_now(session)
    old = or_(
        StorageCommitment.done_on < now - _KEEP,
        and_(
            StorageCommitment.state == CommitmentState.ASKED.value,
            StorageCommitment.created_on < now - _KEEP_UNANSWERED,
        ),
    )
    keys = select(StorageCommitment.id).where(old).order_by(StorageCommitment.id).limit(_AT_ONCE)
    gone = await session.scalars(
        delete(StorageCommitment)
        .where(StorageCommitment.id.in_(keys.scalar_subquery()))
        .returning(StorageCommitment.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


def _due(worker: Committer, now: datetime) -> tuple[ColumnElement[bool], ...]:
    # what waits since a moment to come, the clock has been set back since
    since = StorageCommitment.created_on > now + CLOCKS_DIFFER
    return (
        StorageCommitment.role == CommitmentRole.PROVIDER.value,
        StorageCommitment.done_on.is_(None),
        or_(
            StorageCommitment.next_on <= now,
            and_(StorageCommitment.pid.is_(None), since),
        ),
        or_(
            StorageCommitment.state == CommitmentState.REPORTING.value,
            StorageCommitment.node == worker.node,
            StorageCommitment.next_on <= now - _OTHERS,
        ),
    )


def _ours(one: ClaimedCommitment, worker: Committer) -> tuple[ColumnElement[bool], ...]:
    return (
        StorageCommitment.id == one.id,
        StorageCommitment.node == worker.node,
        StorageCommitment.pid == worker.pid,
        StorageCommitment.started_on == one.claimed_on,
        StorageCommitment.done_on.is_(None),
    )


async def _is_asked_again(session: AsyncSession, one: ClaimedCommitment, worker: Committer) -> bool:
    """Tell whether it was asked for again while it was reported; then it is nobody's, and due."""
    rows = await session.execute(
        select(StorageCommitment.state, StorageCommitment.settled_on)
        .where(*_ours(one, worker))
        .with_for_update()  # who asks at this moment is before this, or after it
    )
    if [tuple(row) for row in rows] != [(CommitmentState.REPORTING.value, None)]:
        return False
    values = {"pid": None, "attempts": 0, "reason": None, "next_on": await shared_now(session)}
    return await _change(session, one, worker, values)


async def _find_out_anew(session: AsyncSession, keys: Collection[int]) -> None:
    """Begin again with those of these that were asked for again while they were reported."""
    repeated = await session.scalars(
        update(StorageCommitment)
        .where(
            among(session, StorageCommitment.id, keys),
            StorageCommitment.state == CommitmentState.REPORTING.value,
            StorageCommitment.settled_on.is_(None),
        )
        .values(state=CommitmentState.VERIFYING.value, committed=None, failed=None)
        .returning(StorageCommitment.id)
        .execution_options(synchronize_session=False)
    )
    if again := list(repeated):
        await forget_outcomes(session, again)


async def _change(
    session: AsyncSession,
    one: ClaimedCommitment,
    worker: Committer,
    values: Mapping[str, Any],
) -> bool:
    changed = await session.scalars(
        update(StorageCommitment)
        .where(*_ours(one, worker))
        .values(**values)
        .returning(StorageCommitment.id)
        .execution_options(synchronize_session=False)
    )
    return bool(changed.all())
