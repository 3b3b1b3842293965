"""How many studies a process moves at the moment: budgets count them beside those that it has."""

import asyncio
from collections import Counter
from collections.abc import Collection

from node.ops.tour import news


class UnderWay:
    """Counts studies that have a place, by the names of PACSs.

    One for all moves of a daemon: a budget for several PACSs together counts what is under way from
    each of them.
    """

    def __init__(self) -> None:
        self._now: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def begin(self, peer: str) -> None:
        """Count one more."""
        self._now[peer] += 1

    def end(self, peer: str) -> None:
        """Count one less: what became of it is recorded, or it was not asked for."""
        self._now[peer] -= 1
        self._ended[peer] += 1
        self._changed.set()

    def now(self, peers: Collection[str]) -> int:
        """Return how many there are, from some PACSs together."""
        return sum(self._now[peer] for peer in peers)

    def ended(self, peers: Collection[str]) -> int:
        """Return how many there were, asked for or not."""
        return sum(self._ended[peer] for peer in peers)

    async def changed(self, seconds: float) -> None:
        """Wait until one has ended, and no longer than that."""
        await news(self._changed, seconds)
