"""Receiving: a C-STORE's dataset goes into the spool, and is acknowledged once it is durable.

The bytes are gathered in memory up to a limit and written by threads: the event loop never
waits for the disk, and an object of any size costs the same memory.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from time import monotonic

from node.dicom.peek import HEAD, SOPUIDs, peek_sop_uids
from node.dicom.status import Status
from node.errors import StorageError
from node.net.dimse.sinks import Refused
from node.net.messages import StoreRequest, StoreSink
from node.ops.threads import Threads
from node.storage.failpoints import reach
from node.storage.spool import Spool
from node.storage.writing import Entry, Sender, Writing
from schema.text.words import counted

log = logging.getLogger(__name__)

_THREADS = 32
"""Files written at once: an fsync waits for the disk, and several can share one wait."""

_WRITE_AT = 1 << 20
_FULL_AT = 1 << 22

_SHARE = 1 << 17
"""Bytes that an object may hold while memory is short: those of hundreds are still not much."""

_TOGETHER = 1 << 27
"""Bytes that all objects together may hold before it is: as many as some dozen full ones."""

_FRAGMENT = 64
"""Bytes of memory that a fragment costs beside its own: a peer may send them one by one."""

_TO_END = 5.0
"""Seconds that the disk has at the end for what is being written."""


_STILL_BUSY = 0.5
"""Seconds after the beginning of an object in which the next one is expected."""


class Spooler:
    """Begins to take objects: `open` is the acceptor's store handler.

    Parameters
    ----------
    spool
        Opened.
    accepted
        Told of each entry once it is durable, before its sender is.
    refusal
        Asked before each object; says why it is not taken now (0xA700), or None.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        accepted: Callable[[Entry], None],
        refusal: Callable[[], str | None],
    ) -> None:
        self._spool = spool
        self._accepted = accepted
        self._refusal = refusal
        self._threads = Threads(_THREADS, "spool")
        self._memory = _Memory()
        self._under_way: set[asyncio.Task[object]] = set()
        self._opened = -_STILL_BUSY

    def open(self, request: StoreRequest) -> StoreSink:
        """Begin to take one object."""
        if (reason := self._refusal()) is not None:
            log.info("Refused an object from %s: %s", request.caller.aetitle, reason)
            return Refused(Status.OUT_OF_RESOURCES)
        self._opened = monotonic()
        writing = self._spool.begin(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            sender=Sender(
                aetitle=request.caller.aetitle,
                address=request.caller.address,
                originator=request.originator,
            ),
        )
        return _SpoolSink(
            request,
            writing,
            threads=self._threads,
            memory=self._memory,
            accepted=self._accepted,
            tasks=self._under_way,
        )

    def is_busy(self) -> bool:
        """Tell whether objects come at the moment."""
        return monotonic() - self._opened < _STILL_BUSY

    async def close(self) -> bool:
        """End what is being written; return whether that went well.

        When it did not, the disk does not answer, and the spool must not be closed under it.
        """
        late: set[asyncio.Task[object]] = set()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_TO_END)
        if late:
            log.error("%s to the spool without an end", counted(len(late), "write"))
            self._threads.abandon()
            return False
        await self._threads.close()
        return True


class _Memory:
    """Counts what all objects hold together, be it gathered or being written.

    Attributes
    ----------
    held
        In bytes.
    """

    def __init__(self) -> None:
        self.held = 0

    @property
    def short(self) -> bool:
        """Whether an object is to hold its share only."""
        return self.held >= _TOGETHER


class _SpoolSink:
    """Takes one dataset.

    What is written is always written to its end, whatever becomes of the association: a whole
    object is indexed though nobody waits for the answer any more.
    """

    def __init__(
        self,
        request: StoreRequest,
        writing: Writing,
        *,
        threads: Threads,
        memory: _Memory,
        accepted: Callable[[Entry], None],
        tasks: "set[asyncio.Task[object]]",
    ) -> None:
        self._request = request
        self._writing = writing
        self._threads = threads
        self._memory = memory
        self._accepted = accepted
        self._tasks = tasks
        self._parts: list[bytes] = []
        self._gathered = 0
        self._head = b""
        self._under_way: asyncio.Task[object] | None = None
        self._failure: StorageError | None = None
        self._discarded = False

    @property
    def full(self) -> bool:
        """Whether more waits to be written than should."""
        return self._gathered >= (_SHARE if self._memory.short else _FULL_AT)

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._failure is not None or self._discarded:
            return
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        self._parts.append(data)
        self._gathered += len(data) + _FRAGMENT
        self._memory.held += len(data) + _FRAGMENT
        if self._is_enough and self._under_way is None:
            self._write_out()

    @property
    def _is_enough(self) -> bool:
        """Whether it is time to write: what is full always is being written."""
        return self._gathered >= _WRITE_AT or self.full

    async def drained(self) -> None:
        """Wait until what was gathered is being written."""
        while self.full:
            if self._under_way is None:  # others have filled the memory since
                self._write_out()
            assert self._under_way is not None, "it was just begun"  # noqa: S101
            await asyncio.wait([self._under_way])

    async def finish(self) -> int:
        """Make the object durable, and return the status (PS3.4 B.2.3).

        Returns
        -------
        int
            0x0000 when it survives everything from now on; 0xB007 when it does, and is to be
            found in quarantine, because its dataset is not the one that the command names; 0xA700
            when the disk does not take it: then nothing of it is left behind.
        """
        finishing = asyncio.create_task(self._finish(), name="finish an object")
        self._keep(finishing)
        return await asyncio.shield(finishing)

    def discard(self) -> None:
        """Forget the object: its sender has gone."""
        self._discarded = True
        self._forget_parts()
        if self._under_way is None:
            self._abandon_later()
        else:
            self._under_way.add_done_callback(lambda _: self._abandon_later())

    async def _finish(self) -> int:
        try:
            return await self._ended()
        finally:
            self._forget_parts()

    async def _ended(self) -> int:
        while self._under_way is not None:
            await asyncio.wait([self._under_way])
        caller = self._request.caller.aetitle
        try:
            if self._failure is not None:
                raise self._failure
            entry = await self._threads.run(self._writing.commit, self._parts)
        except StorageError as error:
            log.error("Refused an object from %s: %s", caller, error)  # noqa: TRY400
            return Status.OUT_OF_RESOURCES
        self._accepted(entry)
        reach("store.respond")
        if not self._is_another():
            return Status.SUCCESS
        log.warning(
            "Received an object from %s whose dataset is not the one that the command names:"
            " in quarantine",
            caller,
        )
        return Status.KEPT_APART

    def _abandon_later(self) -> None:
        with contextlib.suppress(RuntimeError):  # the threads have ended, and the spool cleans up
            self._threads.submit(self._writing.abandon)

    def _is_another(self) -> bool:
        seen: SOPUIDs = peek_sop_uids(self._head, self._request.transfer_syntax_uid)
        return _differs(seen.sop_class_uid, self._request.sop_class_uid) or _differs(
            seen.sop_instance_uid, self._request.sop_instance_uid
        )

    def _write_out(self) -> None:
        parts, size = self._parts, self._gathered
        self._parts, self._gathered = [], 0
        self._under_way = asyncio.create_task(self._write(parts, size), name="write fragments")
        self._keep(self._under_way)

    async def _write(self, parts: list[bytes], size: int) -> None:
        try:
            await self._threads.run(self._writing.append, parts)
        except asyncio.CancelledError:
            self._failure = StorageError("it was not written to its end")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the object is incomplete
            self._failure = (
                error if isinstance(error, StorageError) else StorageError(type(error).__name__)
            )
            self._forget_parts()
        finally:
            self._under_way = None
            self._memory.held -= size
        if self._is_enough and not self._discarded:
            self._write_out()

    def _forget_parts(self) -> None:
        self._memory.held -= self._gathered
        self._parts, self._gathered = [], 0

    def _keep(self, task: "asyncio.Task[object]") -> None:
        """Let a task not be collected, and be waited for at the end."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _differs(in_dataset: str | None, in_command: str) -> bool:
    return in_dataset is not None and in_dataset != in_command.strip(" \0")
