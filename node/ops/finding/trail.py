"""Recording what a question came to while the next one is put."""

import asyncio

from node.ops.finding.answers.brought import Answered, Questioned
from node.ops.finding.answers.recording import in_short
from node.ops.finding.inquiry import Inquiry
from node.ops.finding.ledger import Standings, WindowLedger
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, Node
from schema import AsyncSession


class Trail:
    """Records the windows in their order, one question behind the peer.

    So who kills a find loses one window that was answered, and the one that was being asked.

    Parameters
    ----------
    inquiry
        Told of each window once it is recorded.
    """

    def __init__(self, inquiry: Inquiry, planner: Planner, ledger: WindowLedger) -> None:
        self._inquiry = inquiry
        self._planner = planner
        self._ledger = ledger
        self._last: asyncio.Task[None] | None = None

    async def take(self, node: Node, heard: Heard, asked: Answered | None) -> None:
        """Tell the planner the answer to its question; return when all before it is recorded.

        Parameters
        ----------
        asked
            None when an interrupted find had asked.
        """
        self._planner.take(heard)
        standings = self._standings(node)
        before = self._last
        self._last = asyncio.create_task(
            self._record(before, node, heard, asked, standings), name="record a window"
        )
        if before is not None:
            await asyncio.shield(before)

    async def finish(self) -> None:
        """Wait until all that was taken is recorded."""
        if self._last is not None:
            await asyncio.shield(self._last)  # it is finished also where this is cancelled

    async def leave(self) -> None:
        """Let what was taken be recorded, if that is soon."""
        if self._last is not None:
            await in_short(self._last)

    async def _record(
        self,
        before: asyncio.Task[None] | None,
        node: Node,
        heard: Heard,
        asked: Answered | None,
        standings: Standings,
    ) -> None:
        try:
            if before is not None:
                await before
        except Exception:  # nobody else waits for the answers of this one
            if asked is not None:
                await asked.recorded()
            raise
        if asked is None:
            await self._ledger.record_recalled(node, standings)
            return
        row = 0

        async def write(session: AsyncSession, done: Questioned) -> None:
            nonlocal row
            if done.answer != heard:  # the database has refused an answer meanwhile
                self._planner.amend(node, done.answer)
                standings.update(self._standings(node))
            row = await self._ledger.record(session, node, done, standings)

        done = await asked.recorded(write)
        self._ledger.note(node, row, standings)
        self._inquiry.note(done)

    def _standings(self, node: Node) -> Standings:
        """Return what is known of a window, and of those of which it is news."""
        changed = self._planner.changed()
        return {one: one.standing for one in (node, *changed)}
