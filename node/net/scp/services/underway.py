"""A C-MOVE or a C-GET that is being answered: what is told of it meanwhile, and how it ends early.

The requestor hears how far it is after each sub-operation, or less often (`RetrievalMeans.pause`),
and each second in any case: it may be waiting for a turn, a long image, a large file, or a
destination that is slow. A C-CANCEL ends it between two sub-operations, or in the middle of one
that takes long; until it has ended, it is told how far it is.

While nothing goes on for a second, which is a requestor's or a destination's doing as a rule, its
turn is another's (`Turn`): who is slow keeps nobody from sending.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from node.net.dimse.inbox import Message
from node.net.messages import Instance, RetrievalMeans, Turn
from node.net.scp.services.suboperations import Counts
from node.net.scp.session import Session

_TELL_EVERY = 1.0
"""Seconds from one response to the next, at most."""

_LOOK_EVERY = 0.1
"""Seconds from one look for a C-CANCEL to the next."""

_LEND_AFTER = 1.0
"""Seconds without a step after which the turn is lent; looked at so that no image costs a timer."""

_TO_END = 2.0
"""Seconds that sub-operations which have begun have to end, once it is cancelled."""


class Underway:
    """See the module.

    Parameters
    ----------
    message
        The request.
    counts
        Of the sub-operations.
    pause
        See `RetrievalMeans`.
    inside
        Whether these go over the association of the request itself: then nothing can be told in
        the middle of one, and none can be given up.
    """

    def __init__(
        self, session: Session, message: Message, counts: Counts, *, pause: float, inside: bool
    ) -> None:
        self.session = session
        self.command = message.command
        self.counts = counts
        self._context_id = message.context_id
        self._pause = pause
        self._inside = inside
        self._storing = 0
        self._turn: Turn | None = None
        self._steps = 0
        self._told = asyncio.get_running_loop().time()

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the rest: a C-CANCEL has come, or the association has ended."""
        inbox = self.session.inbox
        return inbox.is_cancelled(self.command.message_id) or inbox.ended is not None

    @asynccontextmanager
    async def turn(self, means: RetrievalMeans) -> AsyncIterator[None]:
        """Have the turn for the length of the block; meanwhile it may be lent."""
        async with means.turn() as turn:
            self._steps += 1
            self._turn = turn
            try:
                yield
            finally:
                self._turn = None

    async def reclaim(self) -> None:
        """Wait for the turn again where it is lent: before each sub-operation."""
        if self._turn is not None:
            await self._turn.reclaim()
        self._steps += 1

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Have a sub-operation under way for the length of the block."""
        self._storing += 1
        try:
            yield
        finally:
            self._storing -= 1
            self._steps += 1

    async def count(self, instance: Instance, status: int | None, reason: str = "") -> None:
        """Take note of what became of a sub-operation, and tell it."""
        self.counts.count(instance.sop_instance_uid, status, reason)
        if asyncio.get_running_loop().time() - self._told >= self._pause:
            await self._tell()

    async def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, and tell how far it is; it is ended before its end when it is cancelled."""
        task = asyncio.create_task(work, name="sub-operations")
        given_up: float | None = None
        loop = asyncio.get_running_loop()
        seen, since = self._steps, loop.time()
        try:
            while not (await asyncio.wait({task}, timeout=_LOOK_EVERY))[0]:
                now = loop.time()
                if self._steps != seen:
                    seen, since = self._steps, now
                elif self._turn is not None and now - since >= _LEND_AFTER:
                    self._turn.lend()
                if self.is_cancelled:
                    given_up = now if given_up is None else given_up
                    if not self._storing or (not self._inside and now - given_up > _TO_END):
                        task.cancel()
                if self._may_tell and now - self._told >= _TELL_EVERY:
                    await self._tell()
            if not task.cancelled():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def _may_tell(self) -> bool:
        """Whether somebody is there, and nothing else goes over the association."""
        return self.session.inbox.ended is None and not (self._inside and self._storing)

    async def _tell(self) -> None:
        self._told = asyncio.get_running_loop().time()
        await self.session.respond(self._context_id, self.counts.response(self.command))
