"""Whose turn it is to send: some retrievals at once, and none for long while others wait."""

import asyncio
from time import monotonic

_AT_MOST = 5.0
"""Seconds that a retrieval has its turn while others wait: nobody waits for one of an hour."""


class RetrievalTurns:
    """So many turns, which go round.

    Parameters
    ----------
    at_once
        How many there are.

    Attributes
    ----------
    waiting
        How many retrievals wait for one.
    """

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self.waiting = 0

    async def acquire(self) -> None:
        """Wait for a turn: who has waited longest is next."""
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1

    def release(self) -> None:
        """Give one back."""
        self._free.release()


class RetrievalTurn:
    """One of them; see `node.net.messages.Turn`."""

    def __init__(self, turns: RetrievalTurns) -> None:
        self._turns = turns
        self._since: float | None = None
        self._reclaiming = asyncio.Lock()

    def lend(self) -> None:
        """Let another retrieval have it meanwhile."""
        if self._since is not None:
            self._since = None
            self._turns.release()

    async def reclaim(self) -> None:
        """Wait until it is held again; and before, where it was held for long and others wait."""
        if self._since is not None and not self._is_due(self._since):
            return
        async with self._reclaiming:  # of a retrieval's associations, one waits for all
            if self._since is not None and self._is_due(self._since):
                self.lend()
            if self._since is None:
                await self._turns.acquire()
                self._since = monotonic()

    def _is_due(self, since: float) -> bool:
        return self._turns.waiting > 0 and monotonic() - since >= _AT_MOST
