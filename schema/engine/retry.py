"""A transaction is run again when it lost a conflict with another one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.database import Database
from schema.errors import DatabaseUnavailable

T = TypeVar("T")

_FIRST_PAUSE = 0.02


async def retrying(
    db: Database, work: Callable[[AsyncSession], Awaitable[T]], *, attempts: int = 5
) -> T:
    """Run `work` in one transaction, again when it lost a conflict with another one.

    Parameters
    ----------
    db
        The database; `work` gets a session of `db.begin()`.
    work
        Whatever it does outside the database may happen several times.
    attempts
        How often at most.

    Raises
    ------
    DatabaseUnavailable
        When the database is away, or when the last attempt lost as well.
    """
    pause = _FIRST_PAUSE
    for _ in range(attempts - 1):
        try:
            async with db.begin() as session:
                return await work(session)
        except DatabaseUnavailable as error:
            if not error.conflict:
                raise
        await asyncio.sleep(pause)
        pause *= 2
    async with db.begin() as session:
        return await work(session)
