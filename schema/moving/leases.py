"""Who is at a study: an attempt that has not ended is its claim, and lasts as long as its cycle.

The process of a cycle gives a sign of life every ten seconds. One that has given none for a while
has died, or cannot reach the database: what it had claimed is given back, and whatever it still
says of that counts for nothing (`schema.moving.judging`). A node ends what its own dead processes
have left at once, for it knows them; what others have left ends after `schema.cycles.LEASE`.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.moving.attempts import interrupt_attempts
from schema.tables.ledger import UNFINISHED, Cycle, MoveAttempt
from schema.tables.models import StudyFind
from schema.tables.statements import among


async def claims_on(
    session: AsyncSession, study_uids: Collection[str], *, cycle_id: int
) -> dict[str, bool]:
    """Return which studies a cycle is at, at whichever PACS; the others are locked.

    Also those that our own cycle is at: no study is asked for twice at once. What a cycle that has
    ended should have ended, ends.

    Parameters
    ----------
    session
        The caller's, in whose transaction nobody else can claim them.
    cycle_id
        Ours.

    Returns
    -------
    dict[str, bool]
        By Study Instance UID, whether it is another cycle than ours.
    """
    locked = (
        select(StudyFind.id, StudyFind.study_uid)
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
        .order_by(StudyFind.study_uid)
        .with_for_update(key_share=True)
    )
    uids = {row.id: row.study_uid for row in await session.execute(locked)}
    claims = (
        select(MoveAttempt.id, MoveAttempt.study_find_id, MoveAttempt.cycle_id, Cycle.outcome)
        .outerjoin(Cycle, Cycle.id == MoveAttempt.cycle_id)
        .where(
            among(session, MoveAttempt.study_find_id, sorted(uids)),
            MoveAttempt.ended_on.is_(None),
        )
    )
    taken: dict[str, bool] = {}
    left: list[int] = []
    for attempt, study, cycle, outcome in (await session.execute(claims)).all():
        if cycle == cycle_id or outcome in UNFINISHED:
            taken[uids[study]] = taken.get(uids[study], False) or cycle != cycle_id
        else:
            left.append(attempt)
    if left:
        await interrupt_attempts(session, attempt_ids=left)
    return taken


async def is_claimed(session: AsyncSession, attempt_ids: Sequence[int]) -> bool:
    """Tell whether all of these attempts still claim their studies."""
    query = select(func.count()).where(
        among(session, MoveAttempt.id, attempt_ids), MoveAttempt.ended_on.is_(None)
    )
    return await session.scalar(query) == len(attempt_ids)
