"""Work of many connections that can wait a moment: some milliseconds of it in a round of the loop.

One connection's pieces are short (`node.upperlayer.incoming`); those of hundreds together are not.
"""

import asyncio
from collections import deque
from collections.abc import Callable

_ROUND = 0.005
"""Seconds of work before the loop looks for what else there is to do."""


class Turns:
    """Runs pieces of work in order, in the event loop, and lets others have their turn."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def later(self, work: Callable[[], None]) -> None:
        """Run it when its turn comes, never at once."""
        self._waiting.append(work)
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        now = asyncio.get_running_loop().time
        end = now() + _ROUND
        try:
            for _ in range(len(self._waiting)):  # what they put off comes in the next round
                self._waiting.popleft()()
                if now() >= end:
                    return
        finally:
            self._schedule()
