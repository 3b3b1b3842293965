"""What C-MOVE and C-GET have in common: requests over one association, while the peer keeps it.

A peer may end an association after one request, or not answer a second one. That one is then
asked again over a new association, and from there on each has an association of its own.

A peer may take a list of SOP Instance UIDs for its first one alone, or for none. The others are
then asked for one by one, and so are those of each later list, once that has been seen to help.
"""

import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from node.dicom.status import Status
from node.errors import AssociationLost, NodeError, PeerFailure, PeerStalled
from node.net.categories import describe
from node.net.messages import MoveProgress
from node.net.scu.requestor import ServiceUser
from node.ops.line import Line
from node.ops.retrieving.asking import PieceByPiece
from node.ops.retrieving.leave import Withheld, with_leave
from node.ops.retrieving.pieces import MOST_UIDS, Piece
from node.ops.retrieving.retriever import Signs
from node.ops.retrieving.tallying import Result
from node.ops.stalls import TimeLimits, limited

log = logging.getLogger(__name__)

A_DAY = 86400.0
"""Seconds to wait for the next response: a peer may be silent for as long as its images arrive, and
the limits are the deadline."""

_TO_CANCEL = 2.0
"""Seconds that a peer has for its last response after a C-CANCEL, before the association is
aborted; many ignore it."""


class OverDimse(PieceByPiece):
    """Requests to one peer, one after the other.

    Parameters
    ----------
    name
        What the operator calls the peer.
    line
        An association to it.
    limits
        Of each request. An image that arrives is a sign of progress, and so is a response whose
        counts of sub-operations have changed.
    answered
        Called with each response that is no failure.
    piece
        How many SOP Instance UIDs one request may name.
    """

    def __init__(
        self,
        name: str,
        line: Line,
        *,
        limits: TimeLimits,
        answered: Callable[[], None] = lambda: None,
        piece: int = MOST_UIDS,
    ) -> None:
        super().__init__(piece=piece)
        self._name = name
        self._line = line
        self._limits = limits
        self._answered = answered
        self._one_each = False
        self._one_by_one = False

    async def open(self) -> None:
        """See `Retriever.open`."""
        await self._line.get()

    async def close(self) -> None:
        """Release the association."""
        await self._line.close()

    async def _give_up(self) -> None:
        await self._line.abort()

    @abstractmethod
    def _put(
        self, association: ServiceUser, piece: Piece, progressed: Callable[[], None]
    ) -> AsyncGenerator[MoveProgress, None]:
        """Put the request for a piece, and return the responses to it."""

    @abstractmethod
    def _brought(self, last: MoveProgress, seen: int) -> int | None:
        """Return how many images came of a request that is over.

        Parameters
        ----------
        seen
            How many have been seen to arrive meanwhile.
        """

    def _judged(self, last: MoveProgress) -> NodeError | None:
        """Return what the last response of a request says that is no success."""
        if last.status == Status.SUCCESS:
            return None
        return PeerFailure(self._words(last), status=last.status, comment=last.comment)

    def _words(self, last: MoveProgress) -> str:
        said = f": {last.comment.strip()}" if last.comment.strip() else ""
        return f"{self._name} answered the {self.method} with {describe(last.status)}{said}"

    async def _bring(self, piece: Piece, progress: Signs) -> Result:
        if len(piece.sop_uids) > 1 and self._one_by_one:
            return await self._bring_singly(piece.singly(), progress)
        result = await self._request(piece, progress)
        self._sums.count(result)
        if len(piece.sop_uids) > 1 and _may_be_the_list(result):
            return await self._bring_the_rest(piece, result, progress)
        self._sums.judge(result)
        return result

    async def _bring_the_rest(self, piece: Piece, result: Result, progress: Signs) -> Result:
        """Ask one by one for the images of a list that has brought one of them, or none."""
        first, *others = piece.singly()[result.brought or 0 :]
        if result.brought:
            self._sums.judge(result)
        single = await self._request(first, progress)
        self._sums.count(single)
        helped = single.brought or (result.error is not None and single.error is None)
        if not result.brought and not helped:
            self._sums.judge(result)  # it has none of them, or it is no matter of lists
            return result
        self._sums.judge(single)
        if helped and not self._one_by_one:
            log.info("%s does not match a list of SOP Instance UIDs", self._name)
            self._one_by_one = True
        if not isinstance(single.error, PeerFailure | None):
            return single
        return await self._bring_singly(others, progress)

    async def _bring_singly(self, pieces: list[Piece], progress: Signs) -> Result:
        result = Result()
        for piece in pieces:
            result = await self._request(piece, progress)
            self._sums.add(result)
            if not isinstance(result.error, PeerFailure | None):
                break
        return result

    async def _request(self, piece: Piece, progress: Signs) -> Result:
        """Put one request, until the peer's last response; again, where it did not take notice."""
        while True:
            first = not self._line.is_open
            before, requests = progress.count, self._sums.requests
            heard = _Heard()
            error: NodeError | None = None
            try:
                await self._exchange(piece, progress, heard)
            except NodeError as failed:
                error = failed
            except Withheld:
                raise  # the association is as good as before
            except BaseException:
                await self._line.give_up(_TO_CANCEL)
                raise
            if isinstance(error, AssociationLost | PeerStalled):
                await self._line.give_up(_TO_CANCEL)
                ignored = not first and heard.last is None and progress.count == before
                self._one_each = self._one_each or ignored
                if ignored and isinstance(error, AssociationLost):
                    log.info("%s takes one %s for each association", self._name, self.method)
                    continue
            elif self._one_each:
                await self._line.close()
            self._has_begun |= self._sums.requests > requests
            brought = None
            if heard.last is not None and error is None:
                error = self._judged(heard.last)
                brought = self._brought(heard.last, progress.count - before)
            return Result(last=heard.last, brought=brought, error=error)

    async def _exchange(self, piece: Piece, progress: Signs, heard: "_Heard") -> None:
        if self._has_begun or self._line.is_open:
            association = await self._line.get()
        else:
            association = await with_leave(self._line.get(), self._leave)
        await self._look_once_more()
        self._sums.requests += 1
        async with limited(f"the {self.method} at {self._name}", self._limits) as progressed:
            with progress.telling(progressed):
                async with aclosing(self._put(association, piece, progressed)) as responses:
                    async for response in responses:
                        if heard.take(response):
                            progressed()
                        if response.status in {Status.PENDING, Status.SUCCESS}:
                            self._answered()


def _may_be_the_list(result: Result) -> bool:
    """Tell whether what came of a list may be because it was one, and not for its images.

    Whichever failure it is: pynetdicom's `qrscp` says of a list that it does not know us.
    """
    if result.last is None or (result.brought or 0) > 1:
        return False
    return result.brought is not None or result.error is not None


class _Heard:
    """The responses to one request."""

    def __init__(self) -> None:
        self.last: MoveProgress | None = None
        self._counts: tuple[int | None, ...] | None = None

    def take(self, response: MoveProgress) -> bool:
        """Take note of a response; return whether it says anew what only changes as images go."""
        counts = (response.remaining, response.completed, response.failed, response.warning)
        is_news = counts != self._counts
        self._counts, before = counts, self.last
        self.last = response if before is None else _completed(response, before)
        return is_news


def _completed(response: MoveProgress, before: MoveProgress) -> MoveProgress:
    """Return a response with the counts of the one before where it has none."""
    remaining = response.remaining
    if remaining is None and before.remaining is not None:
        remaining = 0 if response.status == Status.SUCCESS else before.remaining
    return replace(
        response,
        remaining=remaining,
        completed=before.completed if response.completed is None else response.completed,
        failed=before.failed if response.failed is None else response.failed,
        warning=before.warning if response.warning is None else response.warning,
    )
