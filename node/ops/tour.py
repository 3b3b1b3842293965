"""Several peers, one after the other: one peer's trouble is not another's."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from node.errors import NodeError

Report = TypeVar("Report")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTrouble:
    """A peer with which nothing could be done, and why."""

    peer: str
    error: NodeError


@dataclass(slots=True)
class Tour(Generic[Report]):
    """What came of peers that were visited one after the other.

    Attributes
    ----------
    reports
        What the visits came to that came to anything, in their order.
    troubles
        The others.
    """

    reports: list[Report] = field(default_factory=list)
    troubles: list[PeerTrouble] = field(default_factory=list)

    async def visit(self, peer: str, work: Awaitable[Report]) -> Report | PeerTrouble:
        """Do the work at a peer, and keep what it comes to; return that as well."""
        try:
            report = await work
        except NodeError as error:
            raise_if_cancelled(error)
            trouble = PeerTrouble(peer=peer, error=error)
            self.troubles.append(trouble)
            return trouble
        self.reports.append(report)
        return report

    def raise_if_vain(self) -> None:
        """Raise the first trouble when no visit has come to anything.

        Raises
        ------
        NodeError
        """
        if self.troubles and not self.reports:
            raise self.troubles[0].error


def raise_if_cancelled(error: Exception) -> None:
    """Let a cancellation through whose clean-up failed: it must not look like a peer's trouble.

    Raises
    ------
    asyncio.CancelledError
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error
