"""C-GET: a peer sends the images over the association on which we ask (PS3.4 C.4.3)."""

from collections.abc import AsyncGenerator, Callable

from node.errors import PeerFailure
from node.net.categories import is_success_or_warning
from node.net.dimse.contexts import Service, StorageContext
from node.net.messages import MoveProgress, Peer, StoreHandler, StoreRequest, StoreSink
from node.net.scu.requestor import ServiceUser
from node.ops.line import Line
from node.ops.retrieving.answer import Answer
from node.ops.retrieving.contexts import MOST, contexts_for, further_contexts, refused_of
from node.ops.retrieving.over_dimse import A_DAY, OverDimse
from node.ops.retrieving.pieces import MOST_UIDS, Piece, pieces_of
from node.ops.retrieving.retriever import Signs
from node.ops.retrieving.tallying import Result
from node.ops.retrieving.wanted import Wanted
from node.ops.stalls import TimeLimits

_IN_VAIN = 2
"""Times in a row that nothing has come in further contexts, after which they are proposed no more:
what fails then fails for another reason."""


class GetRequests(OverDimse):
    """C-GETs to one peer.

    An association is kept for as long as its contexts are those of what is wanted. What does not
    come in these is asked for in others: nobody may have said of which SOP classes it is. What has
    come so is among the first that are proposed from then on, and where nothing comes of it twice
    in a row, it is left.

    Parameters
    ----------
    store
        Takes each image; what it answers is what the peer is told.
    limits, piece
        See `OverDimse`. The bytes of an image are signs of progress, too.
    answered
        Called with each response that is no failure, and with each image.
    """

    method = "C-GET"

    def __init__(
        self,
        peer: Peer,
        *,
        store: StoreHandler,
        limits: TimeLimits,
        answered: Callable[[], None] = lambda: None,
        piece: int = MOST_UIDS,
    ) -> None:
        super().__init__(
            peer.name, _line(peer, contexts_for(())), limits=limits, answered=answered, piece=piece
        )
        self._peer = peer
        self._store = store
        self._proposed = contexts_for(())
        self._tried: dict[StorageContext, None] = {}
        self._accepted: set[StorageContext] = set()
        self._learnt: dict[StorageContext, None] = {}
        self._is_further = False
        self._vain = 0
        self._short: list[Piece] = []
        self._wanted: frozenset[str] = frozenset()
        self._taken = _Taken()
        self._before = 0

    async def _begin(self, wanted: Wanted) -> None:
        self._wanted = wanted.sop_classes
        self._tried, self._accepted = {}, set()
        self._taken = _Taken()
        self._short = []
        pairs = dict.fromkeys([*self._learnt, *contexts_for(self._wanted)])
        first = list(pairs)[:MOST]
        # One of the usual classes may come in a transfer syntax that was not proposed for it.
        known = {pair for pair in first if pair[0] in self._wanted}
        if self._is_further or not known <= set(self._proposed):
            await self._propose(first)
            self._is_further = False

    async def _propose(self, contexts: list[StorageContext]) -> None:
        """Have an association with these contexts from now on."""
        await self._line.close()
        self._proposed = contexts
        self._line = _line(self._peer, contexts)

    async def _bring(self, piece: Piece, progress: Signs) -> Result:
        failed = self._sums.failed
        result = await super()._bring(piece, progress)
        if result.error is not None or self._sums.failed > failed:
            self._short.append(piece)
        return result

    async def _finish(self, wanted: Wanted, progress: Signs) -> None:
        """Ask in further contexts for what did not come, and may be of other SOP classes.

        Nothing comes twice: what a class has come of is not proposed in other transfer syntaxes
        either, which some peers convert to.
        """
        if self._vain == _IN_VAIN or not self._lacks(wanted):
            return
        pieces = self._short or pieces_of(wanted, most=self._piece)
        came = self._taken.came
        before = len(came)
        for contexts in further_contexts(self._wanted, self._tried):
            there, classes = len(came), set(came.values())
            self._is_further = True
            await self._propose([pair for pair in contexts if pair[0] not in classes])
            goes_on = await self._ask_again(pieces, progress)
            self._sums.make_up(len(came) - there)
            if not goes_on or not self._lacks(wanted):
                break
        self._vain = 0 if len(came) > before else self._vain + 1

    def _lacks(self, wanted: Wanted) -> bool:
        """Tell whether something did not come that was not refused by us."""
        if not isinstance(self._sums.error, PeerFailure | None):
            return False
        taken = self._taken
        missing = 0 if wanted.count is None else wanted.count - len(taken.came)
        return max(self._sums.failed, missing) > len(taken.failed)

    async def _ask_again(self, pieces: list[Piece], progress: Signs) -> bool:
        """Ask for pieces; say whether there is a point in asking for more."""
        for piece in pieces:
            for part in piece.singly() if self._one_by_one and piece.sop_uids else [piece]:
                result = await self._request(part, progress)
                if not isinstance(result.error, PeerFailure | None):
                    return False
        return True

    def _put(
        self, association: ServiceUser, piece: Piece, progressed: Callable[[], None]
    ) -> AsyncGenerator[MoveProgress, None]:
        self._tried.update(dict.fromkeys(self._proposed))
        self._accepted |= association.accepted_storage
        self._before = self._taken.arrived

        def taking(request: StoreRequest) -> StoreSink:
            self._answered()
            if self._is_further:
                self._learnt[(request.sop_class_uid, request.transfer_syntax_uid)] = None
            return _Counted(request, self._store(request), self._taken, progressed)

        return association.get(piece.identifier, taking)

    def _brought(self, last: MoveProgress, seen: int) -> int | None:  # noqa: ARG002 - we take them
        said = sum(count or 0 for count in (last.completed, last.failed, last.warning))
        return max(said, self._taken.arrived - self._before)

    def _answer(self) -> Answer:
        refused: tuple[str, ...] = ()
        if self._tried:
            refused = refused_of(
                self._wanted, self._tried, self._accepted, has_failed=self._sums.has_failed
            )
        return self._sums.answer(
            failed_uids=self._taken.failed,
            came=self._taken.came,
            refused=refused,
            arrived=self._taken.arrived,
            size=self._taken.bytes,
        )


def _line(peer: Peer, proposed: list[StorageContext]) -> Line:
    return Line(peer, Service.GET, receive=proposed, response_timeout=A_DAY)


class _Taken:
    """What has come: objects that were taken, the bytes of all, and the UIDs of the others.

    `came` has the SOP classes of the former, by their UIDs.
    """

    def __init__(self) -> None:
        self.arrived = 0
        self.bytes = 0
        self.failed: list[str] = []
        self.came: dict[str, str] = {}


class _Counted:
    """A sink that counts what another one takes."""

    def __init__(
        self,
        request: StoreRequest,
        sink: StoreSink,
        taken: _Taken,
        progressed: Callable[[], None],
    ) -> None:
        self._uid = request.sop_instance_uid
        self._class = request.sop_class_uid
        self._sink = sink
        self._taken = taken
        self._progressed = progressed

    @property
    def full(self) -> bool:
        return self._sink.full

    def write(self, data: bytes) -> None:
        self._taken.bytes += len(data)
        self._progressed()
        self._sink.write(data)

    async def drained(self) -> None:
        await self._sink.drained()

    async def finish(self) -> int:
        status = await self._sink.finish()
        if is_success_or_warning(status):
            self._taken.arrived += 1
            self._taken.came[self._uid] = self._class
        else:
            self._taken.failed.append(self._uid)
        self._progressed()
        return status

    def discard(self) -> None:
        self._sink.discard()
