"""Two readings side by side that see the database as it was at one moment.

What is counted over all studies takes its time, and the machine has another core for half of it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from schema.accounting.tallies import one_view
from schema.engine.database import Database
from schema.tables.models import StudyFind
from schema.tables.statements import is_postgresql

_TRIES = 5


@asynccontextmanager
async def side_by_side(database: Database) -> AsyncIterator[tuple[AsyncSession, AsyncSession]]:
    """Open two sessions that see the same; they are one and the same where that cannot be had.

    PostgreSQL hands the snapshot of one transaction to another (`pg_export_snapshot`). With SQLite
    two transactions see the same when no other connection has written since before the first of
    them began, which its `data_version` tells; where others always write, there is one session.

    Raises
    ------
    DatabaseUnavailable
        When the database is away.
    """
    async with database.session() as one:
        if database.dialect == "sqlite" and database.path is None:
            yield one, one
            return
        async with database.session() as other:
            same = await (_handed if is_postgresql(one) else _unchanged)(one, other)
            yield one, (other if same else one)


async def _handed(one: AsyncSession, other: AsyncSession) -> bool:
    for session in (one, other):
        await one_view(session)
    snapshot = await one.scalar(select(func.pg_export_snapshot()))
    await other.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))
    return True


async def _unchanged(one: AsyncSession, other: AsyncSession) -> bool:
    version = text("PRAGMA data_version")
    for _ in range(_TRIES):
        before = await other.scalar(version)
        await _begin_again(other)
        await one.execute(select(StudyFind.id).limit(1))  # its view is of now
        if await other.scalar(version) == before:
            return True
        await _begin_again(one)
        await _begin_again(other)
    return False


async def _begin_again(session: AsyncSession) -> None:
    """Begin another transaction over the same connection: versions of two say nothing."""
    for statement in ("ROLLBACK", "BEGIN"):
        await session.execute(text(statement))
