"""The ends of cycles are recorded, in the transaction in which they end."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.hooking.audience import audience_of
from schema.hooking.kinds import EventKind
from schema.hooking.recording import record_events
from schema.tables.ledger import Cycle

_TOLD = ("kind", "peer", "node", "outcome", "started_on", "finished_on", "counts", "message")


async def outcomes_before(session: AsyncSession, cycles: Sequence[int]) -> dict[int, str]:
    """Return how cycles stand that are to end; nothing where nobody wants to be told of that."""
    if not audience_of(session).of(EventKind.CYCLE_END):
        return {}
    query = select(Cycle.id, Cycle.outcome).where(Cycle.id.in_(cycles)).with_for_update()
    return dict((await session.execute(query)).all())


async def record_ends(session: AsyncSession, before: Mapping[int, str]) -> None:
    """Record which cycles have ended: those that stood otherwise before."""
    if not before:
        return
    columns = (getattr(Cycle, name) for name in _TOLD)
    query = select(Cycle.id.label("cycle"), *columns).where(Cycle.id.in_(before)).order_by(Cycle.id)
    ended = [
        dict(row)
        for row in (await session.execute(query)).mappings()
        if row["outcome"] != before[row["cycle"]]
    ]
    await record_events(session, EventKind.CYCLE_END, ended)
