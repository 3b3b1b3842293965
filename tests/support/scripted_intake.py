"""Who receives, as far as a mover is concerned: it takes images or not, as a test says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from node.ops.indexing.indexer import Listener


@dataclass
class ScriptedIntake:
    """Says why nothing is taken, and whether it tells what is indexed.

    A test sets `reason` while a move is under way, and calls the `listeners` itself.
    """

    reason: str | None = None
    told: bool = False
    listeners: list[Listener] = field(default_factory=list)

    async def closed(self) -> str | None:
        """Return why nothing is taken."""
        return self.reason

    async def arrived(self) -> frozenset[str]:
        """Return that nothing has come that is not in the index."""
        return frozenset()

    @contextmanager
    def telling(self, listener: Listener) -> Iterator[bool]:
        """Keep a listener for the test to call."""
        self.listeners.append(listener)
        yield self.told
        self.listeners.remove(listener)
