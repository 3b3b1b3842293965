"""Asking a peer for the images of the studies that are next, while others are on their way."""

import asyncio
import logging
import time
from typing import Self

from node.errors import NodeError, NoPlace, PeerRefused, PeerUnreachable
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.net.transport.places import without_waiting
from node.ops.counting.inquiring import ImageInquiry
from node.ops.counting.keeping import ToldCounts, list_study
from node.ops.guarding.slots import slots_here
from node.ops.politeness.clock import ResponseTimer
from node.ops.politeness.pacing import Pacer
from node.ops.retrieving.retriever import Retriever
from node.ops.stalls import TimeLimits
from schema import Database
from schema.moves import MoveState
from schema.moving.listing import Listing

log = logging.getLogger(__name__)

_IN_VAIN = 3
"""Studies one after the other of which nothing is listed, after which no more are asked for."""


_TO_KNOW = 5
"""Probes before a move, to know how long the peer takes when it is asked for nothing else ..."""

_TO_LEARN = 2.0
"""... and none more after so many seconds."""


class Lister:
    """Asks for one study after the other, over one connection; a context manager.

    A peer that lists nothing, or does not answer, costs the move nothing else: then its numbers
    count. One that does not take questions beside a retrieval is asked between them.

    Attributes
    ----------
    beside
        Whether it asks while studies are retrieved.
    left_out
        The studies that there was no association for meanwhile: they are to be asked for between
        two retrievals.

    Parameters
    ----------
    pacer
        Says when a question may be put, and is told how long answers take.
    """

    def __init__(
        self,
        database: Database,
        peer: Peer | WebPeer,
        limits: TimeLimits,
        pacer: Pacer,
        *,
        beside: bool = True,
    ) -> None:
        self.beside = beside
        self.left_out: set[str] = set()
        self._expected = 0
        self._database = database
        self._pacer = pacer
        timer = None
        if pacer.throttle is not None:
            timer = ResponseTimer(pacer.answered, pacer.failed)
        self._inquiry = ImageInquiry(peer, limits, rests=False, timer=timer)
        self._known = ""
        self._unanswered = 0
        self._turns = asyncio.Lock()
        self._vain = 0
        self._asking = 0
        self._asked = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._inquiry.line.abort()

    @property
    def asked(self) -> int:
        """How many questions have begun, and ended: while it stays the same, none is asked."""
        return self._asked

    def is_in_the_way(self, error: NodeError, *, since: int) -> bool:
        """Tell whether a retrieval may have failed because the peer was asked what it has.

        Parameters
        ----------
        since
            `asked` when the retrieval began.
        """
        if not self.beside:
            return False
        if isinstance(error, PeerRefused | PeerUnreachable):
            return self._inquiry.line.is_open or self._asking > 0
        return self._asking > 0 or self._asked != since

    def begin(self, study_uid: str, state: MoveState) -> "asyncio.Task[Listing | None] | None":
        """Begin to ask for a study, if that is done beside retrievals; None: it is not."""
        if not self.beside:
            return None
        self._expected += 1
        return asyncio.ensure_future(self._list_beside(study_uid, state))

    async def _list_beside(self, study_uid: str, state: MoveState) -> Listing | None:
        """Ask for a study, if there is an association to be had now: who retrieves waits for it."""
        try:
            with without_waiting():
                return await self._list(study_uid, state)
        except NoPlace:
            self.left_out.add(study_uid)
            return None
        finally:
            self._expected -= 1
            if not self._expected and slots_here() is not None:
                await self.close()  # one that nobody needs is others'

    async def list_between(
        self, study_uid: str, state: MoveState, retriever: Retriever
    ) -> Listing | None:
        """Ask for a study while nothing is retrieved: see `Lister`."""
        await retriever.close()
        try:
            listing = await self._list(study_uid, state)
            self.left_out.discard(study_uid)
        finally:
            await self.close()
        return listing

    async def _list(self, study_uid: str, state: MoveState) -> Listing | None:
        """Return what the peer lists of a study; None where it lists nothing."""
        told = ToldCounts(images=state.said_images, series=state.said_series, known=state.known)
        async with self._pacer.question(), self._turns:
            if self._vain >= _IN_VAIN:
                return None
            await self._learn(study_uid)
            self._asking += 1
            self._asked += 1
            try:
                listing = await list_study(self._database, self._inquiry, study_uid, told)
            except (PeerUnreachable, PeerRefused) as error:
                log.info("%s cannot be asked what it has: %s", self._inquiry.peer.name, error)
                listing = None
            finally:
                self._asking -= 1
                self._asked += 1
            self._vain = self._vain + 1 if listing is None else 0
            if self._vain == _IN_VAIN:
                await self._inquiry.line.close()
        return listing

    async def _learn(self, study_uid: str) -> None:
        """See how long the peer takes to answer before it is asked for anything else."""
        first, self._known = not self._known, study_uid
        latest = time.monotonic() + _TO_LEARN
        for _ in range(_TO_KNOW if first and self._pacer.throttle is not None else 0):
            if not await self._probe() or time.monotonic() > latest:
                break

    async def probe(self) -> None:
        """See how long the peer takes to answer, where it answers beside retrievals."""
        if self._known and self.beside and self._unanswered < _IN_VAIN:
            async with self._turns:
                await self._probe()

    async def _probe(self) -> bool:
        answered = False
        try:
            answered = await self._inquiry.probe(self._known)
        except (PeerUnreachable, PeerRefused) as error:
            log.debug("%s does not answer beside retrievals: %s", self._inquiry.peer.name, error)
        self._unanswered = 0 if answered else self._unanswered + 1
        return answered

    async def step_aside(self) -> None:
        """Ask between retrievals from now on."""
        log.info("%s may take no questions beside retrievals", self._inquiry.peer.name)
        self.beside = False
        await self.close()

    async def close(self) -> None:
        """Let go of the connection: nothing will be asked for a while."""
        async with self._turns:
            await self._inquiry.line.close()
