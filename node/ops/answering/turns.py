"""Whose turn it is to have the database: who has had least of it so far.

That is counted by AE title, so that thirty associations of one leave another its part; and of one
title's queries that which has had least is next, so that a question for one study waits for no
answer of a hundred thousand, however many there are.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from weakref import WeakValueDictionary


@dataclass(slots=True, eq=False, weakref_slot=True)
class QueryingTitle:
    """How long the queries of one AE title have had their turns, in seconds."""

    seconds: float = 0.0


class QueryingTitles:
    """Those who ask at the moment; who has no query any more is forgotten."""

    def __init__(self) -> None:
        self._asking: WeakValueDictionary[str, QueryingTitle] = WeakValueDictionary()

    def served(self, aetitle: str) -> "Served":
        """Begin a query: who asks anew has had as much as whoever has had least."""
        asker = self._asking.get(aetitle)
        if asker is None:
            least = min((one.seconds for one in self._asking.values()), default=0.0)
            asker = self._asking[aetitle] = QueryingTitle(least)
        return Served(asker=asker)


@dataclass(slots=True, kw_only=True)
class Served:
    """How long one query has had its turns, in seconds, and whose it is."""

    seconds: float = 0.0
    asker: QueryingTitle = field(default_factory=QueryingTitle)

    def add(self, seconds: float) -> None:
        """Count a turn."""
        self.seconds += seconds
        self.asker.seconds += seconds


class LeastServed:
    """Queries that wait: the least served asker's first, and of these the least served."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: dict[QueryingTitle, list[tuple[float, int, asyncio.Future[None]]]] = {}

    def add(self, served: Served) -> "asyncio.Future[None]":
        """Wait for what is returned."""
        self._number += 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(
            self._waiting.setdefault(served.asker, []), (served.seconds, self._number, turn)
        )
        return turn

    def call(self) -> bool:
        """Call the next one; return whether there was one."""
        while self._waiting:
            asker = min(self._waiting, key=lambda one: one.seconds)
            queries = self._waiting[asker]
            _, _, turn = heapq.heappop(queries)
            if not queries:
                del self._waiting[asker]
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
            served.add(perf_counter() - began)
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
