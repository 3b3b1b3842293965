"""Recording what a question came to while the next one is put."""

import asyncio

from node.ops.finding.answers.brought import Answered
from node.ops.finding.inquiry import Inquiry
from node.ops.finding.ledger import Standings, WindowLedger
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, Node


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
        """Tell the planner the answer to its question, and record it once all before is recorded.

        Parameters
        ----------
        asked
            None when an interrupted find had asked.
        """
        self._planner.take(heard)
        standings = self._standings(node)
        await self.finish()
        self._last = asyncio.create_task(
            self._record(node, heard, asked, standings), name="record a window"
        )

    async def finish(self) -> None:
        """Wait until all that was taken is recorded."""
        if self._last is not None:
            await asyncio.shield(self._last)  # it is finished also where this is cancelled
            self._last = None

    async def _record(
        self, node: Node, heard: Heard, asked: Answered | None, standings: Standings
    ) -> None:
        base = node.top.query
        if asked is None:
            await self._ledger.record(node, None, standings, base)
            return
        done = await asked.recorded()
        if done.answer != heard:  # the database has refused an answer meanwhile
            self._planner.amend(node, done.answer)
            standings |= self._standings(node)
        await self._ledger.record(node, done, standings, base)
        self._inquiry.note(done)

    def _standings(self, node: Node) -> Standings:
        """Return what is known of a window, and of those of which it is news."""
        changed = self._planner.changed()
        return {one: one.standing for one in (node, *changed)}
