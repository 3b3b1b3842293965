"""Queries let receiving go first: while objects come, one works at a time, and rests after it.

Whose turn it is then is decided as it is with the database's: who has had least so far.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter

from node.ops.answering.turns import LeastServed, Served

_SHARE = 0.1
"""Of the time, that all queries together may work while objects come."""

_SAVED = 0.5
"""Seconds of which the share may be had at once: a short question need not wait for its part."""

_LONGEST = 0.5
"""Seconds of a piece of work that are counted: a database that hangs is no work of ours."""

_LOOK_EVERY = 0.1
"""Seconds after which a rest is over, where no more objects come."""


def _never() -> bool:
    return False


class QueryPace:
    """Lets receiving go first: while objects come, one query works at a time, and then none.

    Parameters
    ----------
    is_receiving
        Tells whether objects come at the moment.
    """

    def __init__(self, is_receiving: Callable[[], bool] = _never) -> None:
        self._is_receiving = is_receiving
        self._queue = LeastServed()
        self._paid = 0.0
        self._working = 0
        self._resting: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def working(self, served: Served) -> AsyncIterator[None]:
        """Work for a moment: at once, unless objects come."""
        if not self._is_receiving():
            yield
            return
        await self._wait(served)
        began = perf_counter()
        try:
            yield
        finally:
            now = perf_counter()
            self._paid = max(self._paid, now - _SAVED) + min(now - began, _LONGEST) / _SHARE
            self._end()

    async def _wait(self, served: Served) -> None:
        turn = self._queue.add(served)
        self._go_on()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end()  # it had come just then
            raise

    def _end(self) -> None:
        self._working -= 1
        self._go_on()

    def _go_on(self) -> None:
        """Call who is next, when it is time."""
        if not self._is_receiving():
            while self._queue.call():
                self._working += 1
            return
        if self._working or self._resting is not None:
            return
        left = self._paid - perf_counter()
        if left <= 0:
            self._working += self._queue.call()
            return
        loop = asyncio.get_running_loop()
        self._resting = loop.call_later(min(left, _LOOK_EVERY), self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._go_on()
