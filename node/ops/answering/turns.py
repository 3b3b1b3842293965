"""Whose turn it is to have the database: the query that has had least of it so far.

So a question for one study waits for no answer of a hundred thousand, however many there are.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter


@dataclass(slots=True)
class Served:
    """How long one query has had its turns, in seconds."""

    seconds: float = 0.0


class LeastServed:
    """Queries that wait, the least served first."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    def add(self, served: Served) -> "asyncio.Future[None]":
        """Wait for what is returned."""
        self._number += 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (served.seconds, self._number, turn))
        return turn

    def call(self) -> bool:
        """Call the next one; return whether there was one."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return True
        return False


class QueryTurns:
    """Gives turns at the database, some at once.

    Parameters
    ----------
    at_once
        How many there may be.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._queue = LeastServed()

    @asynccontextmanager
    async def turn(self, served: Served) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the length of the block.

        Parameters
        ----------
        served
            Of the query; what it has had is added.
        """
        await self._wait(served)
        began = perf_counter()
        try:
            yield
        finally:
            served.seconds += perf_counter() - began
            self._pass_on()

    async def _wait(self, served: Served) -> None:
        if self._free:
            self._free -= 1
            return
        turn = self._queue.add(served)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it had come just then
            raise

    def _pass_on(self) -> None:
        if not self._queue.call():
            self._free += 1
