"""WADO-RS: we fetch the images over HTTP (PS3.18 10.4)."""

from collections.abc import Callable

from node.errors import NodeError
from node.net.messages import MoveProgress, StoreHandler
from node.net.qido.place import WebPeer
from node.net.wado.line import WadoLine, resource_of
from node.net.wado.objects import Harvest
from node.ops.retrieving.answer import Answer
from node.ops.retrieving.asking import PieceByPiece
from node.ops.retrieving.leave import with_leave
from node.ops.retrieving.pieces import Piece
from node.ops.retrieving.retriever import Signs
from node.ops.retrieving.tallying import Result
from node.ops.retrieving.wanted import Wanted
from node.ops.stalls import TimeLimits, limited


class WebRequests(PieceByPiece):
    """Retrievals at one DICOMweb service; each image that is wanted by name is one.

    Parameters
    ----------
    store
        Takes each object.
    source
        The AE title as whose they are taken; the peer's name where it has none.
    limits
        Of each request. Bytes that come are signs of progress, as long as they are no trickle.
    answered
        Called when an answer begins that is no failure.
    """

    method = "WADO-RS"

    def __init__(
        self,
        peer: WebPeer,
        *,
        store: StoreHandler,
        limits: TimeLimits,
        source: str = "",
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(piece=1)
        self._name = peer.name
        self._limits = limits
        self._line = WadoLine(peer, store=store, source=source, answered=answered)
        self._harvest = Harvest()
        self._words = ""

    async def open(self) -> None:
        """See `Retriever.open`; it connects when there is something to ask."""
        await self._line.open()

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    async def _give_up(self) -> None:
        await self._line.close()

    async def _begin(self, wanted: Wanted) -> None:  # noqa: ARG002 - nothing is to be agreed upon
        self._harvest = Harvest()
        self._words = ""

    async def _bring(self, piece: Piece, progress: Signs) -> Result:
        harvest, before = self._harvest, (self._harvest.arrived, self._harvest.failed)
        error: NodeError | None = None
        self._sums.requests += 1
        try:
            if not self._has_begun:
                await with_leave(self._line.open(), self._leave)
            async with limited(f"the WADO-RS retrieval at {self._name}", self._limits) as told:
                with progress.telling(told):
                    resource = resource_of(piece.study_uid, piece.series_uid, *piece.sop_uids)
                    self._words = await self._line.retrieve(
                        resource, harvest, told, before=self._look_once_more
                    )
        except NodeError as failed:
            error = failed
            self._words = getattr(failed, "comment", "") or self._words
        self._has_begun = True
        brought = harvest.arrived - before[0]
        last = None
        if error is None or brought:
            failures = harvest.failed - before[1]
            last = MoveProgress(status=0, completed=brought, failed=failures)
        result = Result(last=last, brought=brought, error=error)
        self._sums.count(result)
        self._sums.judge(Result(error=error))
        return result

    def _answer(self) -> Answer:
        harvest = self._harvest
        return self._sums.answer(
            comment=self._words,
            failed_uids=harvest.failed_uids,
            arrived=harvest.arrived,
            size=harvest.bytes,
        )
