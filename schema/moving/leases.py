"""Who is at a study: an attempt that has not ended is its claim, and lasts as long as its cycle.

The process of a cycle gives a sign of life every ten seconds. One that has given none for a while
has died, or cannot reach the database: what it had claimed is given back, and whatever it still
says of that counts for nothing (`schema.moving.judging`). A node ends what its own dead processes
have left at once, for it knows them; what others have left ends after `schema.cycles.LEASE`.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.moving.attempts import interrupt_attempts
from schema.tables.ledger import UNFINISHED, Cycle, MoveAttempt
from schema.tables.models import StudyFind
from schema.tables.statements import among


async def claimed_by_others(
    session: AsyncSession, study_uids: Collection[str], *, cycle_id: int
) -> set[str]:
    """Return which studies another cycle is at, at whichever PACS; the others are locked.

    What a cycle that has ended should have ended, ends.

    Parameters
    ----------
    session
        The caller's, in whose transaction nobody else can claim them.
    cycle_id
        Ours.
    """
    locked = (
        select(StudyFind.id, StudyFind.study_uid)
        .where(among(session, StudyFind.study_uid, sorted(study_uids)))
        .order_by(StudyFind.study_uid)
        .with_for_update(key_share=True)
    )
    uids = {row.id: row.study_uid for row in await session.execute(locked)}
    claims = (
        select(MoveAttempt.id, MoveAttempt.study_find_id, Cycle.outcome)
        .outerjoin(Cycle, Cycle.id == MoveAttempt.cycle_id)
        .where(
            among(session, MoveAttempt.study_find_id, sorted(uids)),
            MoveAttempt.ended_on.is_(None),
            or_(MoveAttempt.cycle_id.is_(None), MoveAttempt.cycle_id != cycle_id),
        )
    )
    others: set[str] = set()
    left: list[int] = []
    for attempt, study, outcome in (await session.execute(claims)).all():
        if outcome in UNFINISHED:
            others.add(uids[study])
        else:
            left.append(attempt)
    if left:
        await interrupt_attempts(session, attempt_ids=left)
    return others


async def is_claimed(session: AsyncSession, attempt_ids: Sequence[int]) -> bool:
    """Tell whether all of these attempts still claim their studies."""
    query = select(func.count()).where(
        among(session, MoveAttempt.id, attempt_ids), MoveAttempt.ended_on.is_(None)
    )
    return await session.scalar(query) == len(attempt_ids)
