"""What is known of attempts without a verdict, as their process has died, or stopped."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.moving.attempts import INTERRUPTED
from schema.tables.ledger import MoveAttempt
from schema.tables.statements import among


async def interrupted_at(
    session: AsyncSession, keys: Collection[int]
) -> dict[int, tuple[str, ...]]:
    """Return the PACSs whose last attempt was asked and interrupted, by the keys of the studies."""
    newest = (
        select(func.max(MoveAttempt.id))
        .where(among(session, MoveAttempt.study_find_id, sorted(keys)))
        .group_by(MoveAttempt.study_find_id, MoveAttempt.peer)
    )
    query = select(MoveAttempt.study_find_id, MoveAttempt.peer).where(
        MoveAttempt.id.in_(newest),
        MoveAttempt.outcome == INTERRUPTED,
        MoveAttempt.started_on.is_not(None),
    )
    found: dict[int, list[str]] = {}
    for key, peer in await session.execute(query):
        found.setdefault(key, []).append(peer)
    return {key: tuple(sorted(names)) for key, names in found.items()}


async def last_signs(session: AsyncSession, cycle_ids: Collection[int]) -> dict[int, datetime]:
    """Return when the attempts of cycles last began or ended (naive UTC), by the cycles' ids.

    A process may have died before it has said otherwise that it was there.
    """
    moments = (MoveAttempt.claimed_on, MoveAttempt.started_on, MoveAttempt.ended_on)
    query = (
        select(MoveAttempt.cycle_id, *map(func.max, moments))
        .where(among(session, MoveAttempt.cycle_id, sorted(cycle_ids)))
        .group_by(MoveAttempt.cycle_id)
    )
    rows = (await session.execute(query)).all()
    return {cycle: max(filter(None, said)) for cycle, *said in rows if cycle is not None}
