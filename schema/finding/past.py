"""The finds that there were at a PACS: when the last one began, and when one came to its end."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.either import either
from schema.tables.columns import latest
from schema.tables.ledger import ENDED, INTERRUPTED, Cycle

_IN_VAIN = (INTERRUPTED, "failed")


@either
async def last_find_ended(session: AsyncSession, peer: str) -> datetime | None:
    """Return when a find at a PACS came to its end for the last time, naive UTC; or None."""
    wanted = [Cycle.kind == "find", Cycle.peer == peer, Cycle.outcome.in_(ENDED)]
    wanted.append(Cycle.finished_on <= latest())
    return (await session.scalars(select(func.max(Cycle.finished_on)).where(*wanted))).one()


@either
async def last_find_began(session: AsyncSession, peer: str, *, node: str) -> datetime | None:
    """Return when the last find of a node at a PACS began, naive UTC.

    None when there was none, or the last one was broken off or failed, or its clock was ahead:
    then it is to be done again.
    """
    wanted = (Cycle.kind == "find", Cycle.peer == peer, Cycle.node == node)
    query = select(Cycle.started_on, Cycle.outcome).where(*wanted).order_by(Cycle.id.desc())
    row = (await session.execute(query.limit(1))).one_or_none()
    if row is None or row.outcome in _IN_VAIN or row.started_on > latest():
        return None
    began: datetime = row.started_on
    return began
