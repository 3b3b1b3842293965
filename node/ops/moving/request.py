"""Asking a peer for studies with C-MOVE, over one association for as long as the peer keeps it."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from node.dicom.query import study_move_identifier
from node.dicom.status import Status
from node.errors import AssociationLost, PeerFailure, PeerRefused, PeerStalled
from node.net.categories import describe
from node.net.dimse.contexts import Service
from node.net.messages import MoveProgress, Peer
from node.ops.line import Line
from node.ops.moving.arrivals import Arrivals
from node.ops.stalls import TimeLimits, limited

log = logging.getLogger(__name__)

_A_DAY = 86400.0


class Requests:
    """C-MOVEs to one peer, one after the other; a context manager, see `Line`.

    A peer may end an association after one C-MOVE, or not answer a second one. That one is then
    asked again over a new association, and from there on each has an association of its own.

    Parameters
    ----------
    destination
        Our AE title, as the peer knows it.
    limits
        Of each C-MOVE. An image that arrives is a sign of progress, and so is a response whose
        counts of sub-operations have changed.
    answered
        Called with each response that is no failure.
    """

    def __init__(
        self,
        peer: Peer,
        *,
        destination: str,
        limits: TimeLimits,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._peer = peer
        self._destination = destination
        self._limits = limits
        self._answered = answered
        # a peer may be silent for as long as its images arrive: the limits are the deadline
        self._line = Line(peer, Service.MOVE, response_timeout=_A_DAY)
        self._one_each = False

    async def open(self) -> None:
        """Make the association before there is anything to ask for.

        Raises
        ------
        PeerUnreachable, PeerRefused
            There is none.
        """
        await self._line.get()

    async def ask(self, arrivals: Arrivals) -> None:
        """Ask for the study whose images are watched, until the peer's last response.

        Raises
        ------
        PeerUnreachable, PeerRefused
            There is no point in asking for others: there is no association, or the peer does not
            know the destination.
        AssociationLost, PeerStalled, PeerFailure
            Only the index can tell what has come all the same.
        """
        last: MoveProgress | None = None
        answered = False
        while not answered:
            first = not self._line.is_open
            before = arrivals.count
            last = None
            try:
                association = await self._line.get()
                identifier = study_move_identifier(arrivals.study_uid)
                responses = association.move(identifier, self._destination)
                async with limited(f"the C-MOVE at {self._peer.name}", self._limits) as progressed:
                    with arrivals.telling(progressed):
                        async for response in responses:
                            if last is None or _counts(response) != _counts(last):
                                progressed()
                            last = response
                            if response.status in {Status.PENDING, Status.SUCCESS}:
                                self._answered()
                answered = True
            except (AssociationLost, PeerStalled) as error:
                await self._line.abort()
                ignored = not first and last is None and arrivals.count == before
                self._one_each = self._one_each or ignored
                if not ignored or isinstance(error, PeerStalled):
                    raise
                log.info("%s takes one C-MOVE for each association", self._peer.name)
        if self._one_each:
            await self._line.close()
        if last is not None and last.status != Status.SUCCESS:
            self._judge(last)

    async def close(self) -> None:
        """Release the association: nothing will be asked for a while."""
        await self._line.close()

    def _judge(self, last: MoveProgress) -> None:
        said = f": {last.comment.strip()}" if last.comment.strip() else ""
        answer = f"{self._peer.name} answered the C-MOVE with {describe(last.status)}{said}"
        if last.status == Status.MOVE_DESTINATION_UNKNOWN:
            raise PeerRefused(
                f"{answer}; it has to know the AE title {self._destination} and this node's "
                "address and port as a destination"
            )
        raise PeerFailure(answer, status=last.status)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._line.__aexit__(kind, error, traceback)


def _counts(response: MoveProgress) -> tuple[int | None, ...]:
    """Return what a peer can only say anew when something has happened."""
    return response.remaining, response.completed, response.failed, response.warning
