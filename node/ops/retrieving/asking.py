"""One request after the other, and what is worth going on after."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from node.errors import AssociationLost, NodeError, PeerFailure
from node.ops.retrieving.answer import Answer
from node.ops.retrieving.leave import Leave, Withheld, unrestrained
from node.ops.retrieving.pieces import MOST_UIDS, Piece, pieces_of
from node.ops.retrieving.retriever import Signs
from node.ops.retrieving.tallying import Result, Sums
from node.ops.retrieving.wanted import Wanted

_LOSSES = 2
"""Connections lost in a row, each by a request, after which no more is asked for: one series may be
what a peer dies of."""


class PieceByPiece(ABC):
    """Asks for what is wanted, request by request; a context manager.

    Parameters
    ----------
    piece
        How many SOP Instance UIDs one request may name.
    """

    method: str

    def __init__(self, *, piece: int = MOST_UIDS) -> None:
        self._piece = max(piece, 1)
        self._sums = Sums()
        self._leave: Leave = unrestrained
        self._has_begun = False

    async def ask(self, wanted: Wanted, progress: Signs, leave: Leave = unrestrained) -> Answer:
        """See `Retriever.ask`."""
        self._sums = Sums()
        self._leave, self._has_begun = leave, False
        await self._begin(wanted)
        losses = 0
        for piece in pieces_of(wanted, most=self._piece):
            result = await self._bring(piece, progress)
            error = result.error
            losses = losses + 1 if isinstance(error, AssociationLost) else 0
            if error is not None and (losses == _LOSSES or not _may_go_on(error)):
                self._sums.end(error)
                break
        await self._finish(wanted, progress)
        return self._answer()

    @abstractmethod
    async def open(self) -> None:
        """See `Retriever.open`."""

    @abstractmethod
    async def close(self) -> None:
        """See `Retriever.close`."""

    @abstractmethod
    async def _give_up(self) -> None:
        """Let go of the connection at once."""

    @abstractmethod
    async def _begin(self, wanted: Wanted) -> None:
        """Prepare for what is wanted."""

    @abstractmethod
    async def _bring(self, piece: Piece, progress: Signs) -> Result:
        """Ask for a piece, in one request or more, and add what came of it to the sums."""

    async def _look_once_more(self) -> None:
        """Look whether it may be asked; to be called with the connection there, before a request.

        What has begun comes to its end.

        Raises
        ------
        Withheld
            It may not, and nothing was asked for.
        """
        if not self._has_begun and not await self._leave():
            raise Withheld

    async def _finish(self, wanted: Wanted, progress: Signs) -> None:  # noqa: B027
        """Do what is left to do when all pieces were asked for: nothing, mostly."""

    @abstractmethod
    def _answer(self) -> Answer:
        """Return what all requests came to."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await (self.close() if error is None else self._give_up())


def _may_go_on(error: NodeError) -> bool:
    """Tell whether the next request may be answered all the same."""
    return isinstance(error, AssociationLost | PeerFailure)
