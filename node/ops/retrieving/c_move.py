"""C-MOVE: a peer sends the images to our AE title, over associations of its own (PS3.4 C.4.2)."""

from collections.abc import AsyncGenerator, Callable

from node.dicom.status import Status
from node.errors import NodeError, PeerRefused
from node.net.dimse.contexts import Service
from node.net.messages import MoveProgress, Peer
from node.net.scu.requestor import ServiceUser
from node.ops.line import Line
from node.ops.retrieving.answer import Answer
from node.ops.retrieving.over_dimse import A_DAY, OverDimse
from node.ops.retrieving.pieces import MOST_UIDS, Piece
from node.ops.retrieving.wanted import Wanted
from node.ops.stalls import TimeLimits

OUR_ADDRESS = "this node's address and port"
"""Where a node takes what a peer sends, in words."""


class MoveRequests(OverDimse):
    """C-MOVEs to one peer.

    Parameters
    ----------
    destination
        Our AE title, as the peer knows it.
    address
        Where we take what it sends, in words.
    limits, answered, piece
        See `OverDimse`.
    """

    method = "C-MOVE"

    def __init__(
        self,
        peer: Peer,
        *,
        destination: str,
        address: str = OUR_ADDRESS,
        limits: TimeLimits,
        answered: Callable[[], None] = lambda: None,
        piece: int = MOST_UIDS,
    ) -> None:
        line = Line(peer, Service.MOVE, response_timeout=A_DAY)
        super().__init__(peer.name, line, limits=limits, answered=answered, piece=piece)
        self._destination = destination
        self._address = address

    async def _begin(self, wanted: Wanted) -> None:
        """Nothing is to be prepared."""

    def _put(
        self,
        association: ServiceUser,
        piece: Piece,
        progressed: Callable[[], None],  # noqa: ARG002 - the images are seen elsewhere
    ) -> AsyncGenerator[MoveProgress, None]:
        return association.move(piece.identifier, self._destination)

    def _brought(self, last: MoveProgress, seen: int) -> int | None:
        counts = (last.completed, last.failed, last.warning)
        if any(count is not None for count in counts):
            return sum(count or 0 for count in counts)
        return seen or None  # what comes may be on its way into the index still

    def _judged(self, last: MoveProgress) -> NodeError | None:
        if last.status == Status.MOVE_DESTINATION_UNKNOWN:
            return PeerRefused(
                f"{self._words(last)}; it has to know the AE title {self._destination} and "
                f"{self._address} as a destination"
            )
        return super()._judged(last)

    def _answer(self) -> Answer:
        return self._sums.answer()
