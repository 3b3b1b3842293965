"""A transaction is run again when it lost a conflict with another one."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from schema.engine.backoff import Backoff
from schema.errors import DatabaseUnavailable

T = TypeVar("T")

_BACKOFF = Backoff(first=0.02, longest=1.0)

ATTEMPTS = 5
"""How often a transaction is run at most."""


class Transactions(Protocol):
    """What opens writing transactions: a `Database`."""

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Open one: committed at the end of the block, rolled back on an error."""


async def retrying(
    db: Transactions, work: Callable[[AsyncSession], Awaitable[T]], *, attempts: int = ATTEMPTS
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
    ValuesRefused
        When the database does not take the values.
    """
    for attempt in range(1, attempts):
        try:
            async with db.begin() as session:
                return await work(session)
        except DatabaseUnavailable as error:
            if not error.conflict:
                raise
        await asyncio.sleep(_BACKOFF.pause(attempt))
    async with db.begin() as session:
        return await work(session)
