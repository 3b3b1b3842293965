"""C-GET: a peer sends the images over the association on which we ask (PS3.4 C.4.3)."""

from collections.abc import AsyncGenerator, Callable

from node.net.categories import is_success_or_warning
from node.net.dimse.contexts import Service, StorageContext
from node.net.messages import MoveProgress, Peer, StoreHandler, StoreRequest, StoreSink
from node.net.scu.requestor import ServiceUser
from node.ops.line import Line
from node.ops.retrieving.answer import Answer
from node.ops.retrieving.contexts import contexts_for, refused_of
from node.ops.retrieving.over_dimse import A_DAY, OverDimse
from node.ops.retrieving.pieces import MOST_UIDS, Piece
from node.ops.retrieving.wanted import Wanted
from node.ops.stalls import TimeLimits


class GetRequests(OverDimse):
    """C-GETs to one peer.

    An association is kept for as long as its contexts are those of what is wanted.

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
        self._accepted: set[StorageContext] = set()
        self._wanted: frozenset[str] = frozenset()
        self._taken = _Taken()
        self._before = 0

    async def _begin(self, wanted: Wanted) -> None:
        self._wanted = wanted.sop_classes
        self._accepted = set()
        self._taken = _Taken()
        if not self._wanted <= {sop_class for sop_class, _ in self._proposed}:
            await self._line.close()
            self._proposed = contexts_for(self._wanted)
            self._line = _line(self._peer, self._proposed)

    def _put(
        self, association: ServiceUser, piece: Piece, progressed: Callable[[], None]
    ) -> AsyncGenerator[MoveProgress, None]:
        self._accepted = association.accepted_storage
        self._before = self._taken.arrived

        def taking(request: StoreRequest) -> StoreSink:
            self._answered()
            return _Counted(request, self._store(request), self._taken, progressed)

        return association.get(piece.identifier, taking)

    def _brought(self, last: MoveProgress, seen: int) -> int | None:  # noqa: ARG002 - we take them
        said = sum(count or 0 for count in (last.completed, last.failed, last.warning))
        return max(said, self._taken.arrived - self._before)

    def _answer(self) -> Answer:
        refused: tuple[str, ...] = ()
        if self._accepted:
            refused = refused_of(
                self._wanted, self._proposed, self._accepted, has_failed=self._sums.has_failed
            )
        return self._sums.answer(
            failed_uids=self._taken.failed,
            refused=refused,
            arrived=self._taken.arrived,
            size=self._taken.bytes,
        )


def _line(peer: Peer, proposed: list[StorageContext]) -> Line:
    return Line(peer, Service.GET, receive=proposed, response_timeout=A_DAY)


class _Taken:
    """What has come: objects that were taken, the bytes of all, and the UIDs of the others."""

    def __init__(self) -> None:
        self.arrived = 0
        self.bytes = 0
        self.failed: list[str] = []


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
        else:
            self._taken.failed.append(self._uid)
        self._progressed()
        return status

    def discard(self) -> None:
        self._sink.discard()
