"""Whether an object can be taken now: the disk's free space, and how far the index is behind."""

import asyncio
import contextlib
import logging
from typing import Protocol

from node.errors import StorageError
from node.ops.threads import Threads

log = logging.getLogger(__name__)

FLOOR_BYTES = 1 << 28
"""Below so much free space nothing is taken, until twice as much is free again."""

MOST_BACKLOG = 50_000
"""Acknowledged objects that may wait for the index; beyond, nothing is taken until half is left."""

_LOOK_EVERY = 0.5
"""Seconds from one look at the disk to the next, while objects come."""

_TO_LOOK = 5.0
"""Seconds after which a disk that does not say how full it is counts as one that hangs."""


class Disk(Protocol):
    """The filesystem of a spool."""

    def free_bytes(self) -> int:
        """Return how many bytes it has left. Raises `StorageError` when it does not say."""


class Queue(Protocol):
    """What waits to be indexed."""

    @property
    def backlog(self) -> int:
        """How many acknowledged objects are not indexed yet."""

    @property
    def trouble(self) -> str | None:
        """Why something is not indexed at the moment; None when all is well."""


class Gate:
    """Says why nothing is taken at the moment, with hysteresis.

    Parameters
    ----------
    spool
        On whose filesystem the space is.
    indexer
        Whose backlog counts.
    """

    def __init__(self, spool: Disk, indexer: Queue) -> None:
        self._spool = spool
        self._indexer = indexer
        self._threads = Threads(1, "gate")
        self._disk: str | None = None
        self._behind = False
        self._closed = False
        self._looked = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._next_look: asyncio.TimerHandle | None = None

    def refusal(self) -> str | None:
        """Return the reason; None when an object can be taken.

        The disk may hang: what is said of it is from the last look, and the next one begins.
        After one that found a reason more follow by themselves.
        """
        reason = self._reason()
        if reason is not None and not self._closed:
            log.error("No objects are taken: %s", reason)
        elif reason is None and self._closed:
            log.warning("Objects are taken again")
        self._closed = reason is not None
        return reason

    async def closed(self) -> str | None:
        """Return the same, from a look at the disk just now; the log is not told.

        A disk that hangs is waited for as long as `refusal` would believe in it.
        """
        if self._looking is not None or self._is_old():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TO_LOOK):
                    await self.look()
        return self._reason()

    async def look(self) -> None:
        """Look at the disk now."""
        await asyncio.shield(self._looking or self._begin_to_look())

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
        if self._next_look is not None:
            self._next_look.cancel()
        self._threads.abandon()

    def _reason(self) -> str | None:
        now = asyncio.get_running_loop().time()
        if self._looking is not None and now - self._looked > _TO_LOOK:
            return "the filesystem of the storage directory does not answer"
        if self._looking is None and self._is_old():
            self._begin_to_look()
        backlog = self._indexer.backlog
        self._behind = backlog > (MOST_BACKLOG // 2 if self._behind else MOST_BACKLOG)
        if self._disk is not None:
            return self._disk
        if self._behind:
            why = self._indexer.trouble or "the index does not keep up"
            return f"{backlog} objects wait to be indexed: {why}"
        return None

    def _is_old(self) -> bool:
        return asyncio.get_running_loop().time() - self._looked >= _LOOK_EVERY

    def _begin_to_look(self) -> "asyncio.Task[None]":
        self._looked = asyncio.get_running_loop().time()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        self._looking = asyncio.create_task(self._look(), name="look at the disk")
        return self._looking

    async def _look(self) -> None:
        try:
            self._disk = self._judged(await self._threads.run(self._spool.free_bytes))
        except StorageError as error:
            self._disk = str(error)
        finally:
            self._looking = None
        if self._disk is not None:
            loop = asyncio.get_running_loop()
            self._next_look = loop.call_later(_LOOK_EVERY, self._begin_to_look)

    def _judged(self, free: int) -> str | None:
        floor = FLOOR_BYTES if self._disk is None else 2 * FLOOR_BYTES
        if free >= floor:
            return None
        return f"less than {floor >> 20} MB are free below the storage directory"
