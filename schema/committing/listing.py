"""Which commitments are open: how many, and whose, for who looks."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.tables.committing.commitments import StorageCommitment


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCommitments:
    """Requests for storage commitment that are open, of one node in one state.

    Attributes
    ----------
    state
        A `CommitmentState`.
    aetitle, peer
        The other node: its AE title, and what the configuration calls it.
    count
        How many there are.
    attempts
        How often the report of one of them was tried at most.
    next_on
        When the first of those that have been tried is tried again, naive UTC; None where none
        waits for that.
    """

    state: str
    aetitle: str
    peer: str | None
    count: int
    attempts: int
    next_on: datetime | None


async def open_commitments(session: AsyncSession) -> list[OpenCommitments]:
    """Return which requests for storage commitment are open, by their state and by AE title."""
    table = StorageCommitment
    waits = table.pid.is_(None) & (table.attempts > 0)
    query = (
        select(
            table.state,
            table.aetitle,
            func.max(table.peer),
            func.count(),
            func.max(table.attempts),
            func.min(case((waits, table.next_on))),
        )
        .where(table.done_on.is_(None))
        .group_by(table.state, table.aetitle)
        .order_by(table.state, table.aetitle)
    )
    names = ("state", "aetitle", "peer", "count", "attempts", "next_on")
    rows = (await session.execute(query)).all()
    return [OpenCommitments(**dict(zip(names, row, strict=True))) for row in rows]
