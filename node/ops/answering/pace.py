"""Queries let receiving go first: while objects come, one works at a time, and rests after it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter

_SHARE = 0.12
"""Of the time, that all queries together may work while objects come."""


def _never() -> bool:
    return False


class QueryPace:
    """Who answers queries asks it before each piece of work.

    Parameters
    ----------
    is_receiving
        Tells whether objects come at the moment.
    """

    def __init__(self, is_receiving: Callable[[], bool] = _never) -> None:
        self._is_receiving = is_receiving
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work for a moment: at once, unless objects come."""
        if not self._is_receiving():
            yield
            return
        async with self._alone:
            began = perf_counter()
            yield
            await asyncio.sleep((perf_counter() - began) * (1 / _SHARE - 1))
