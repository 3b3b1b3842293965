"""Handing on what we have fetched ourselves to a node that runs beside us, by C-STORE.

An object is written to a file of ours in the spool's folder, is sent, and is removed, whatever came
of it; what a process that died has left there, the next one removes. Its sender is told what the
node has answered, so that nothing is acknowledged that the node does not have.

The node is to know from whom an object comes: so we call it under the AE title of the peer, and
under our own where the node takes nothing under that title from this machine. By the Move
Originator it knows in any case that it comes because we have asked for it.
"""

import asyncio
import contextlib
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from node.dicom.status import Status
from node.errors import AssociationLost, NodeError, PeerRefused, StorageError
from node.net.dimse.contexts import MAXIMUM_CONTEXTS, StorageContext
from node.net.messages import Peer, StoreRequest, StoreSink
from node.net.scu.originator import Originator
from node.net.scu.requestor import ServiceUser, associate
from node.storage.spool import Spool
from node.storage.writing import Sender, Writing

log = logging.getLogger(__name__)

_FULL_AT = 1 << 20
"""Bytes of an object that are gathered before they are written."""

_TO_STORE = 60.0
"""Seconds that the node has for the answer to an object: it waits for its disk."""


class Relay:
    """Begins to take objects for the node: `open` is a store handler.

    Parameters
    ----------
    node
        The node that is running.
    directory
        The storage directory.
    """

    def __init__(self, node: Peer, directory: Path) -> None:
        self._node = node
        self._spool = Spool(directory)
        self._is_open = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._association: ServiceUser | None = None
        self._calling = ""
        self._pairs: dict[StorageContext, None] = {}
        self._refused: set[str] = set()
        self._originator = Originator(node.calling_aetitle, 0)

    def open(self, request: StoreRequest) -> StoreSink:
        """Begin to take one object."""
        return SinkToFile(self, request)

    async def begin(self, request: StoreRequest) -> Writing:
        """Begin the file of an object.

        Raises
        ------
        StorageError
            There is no room for it.
        """
        async with self._opening:
            if not self._is_open:
                await asyncio.to_thread(self._spool.open_beside)
                self._is_open = True
        return self._spool.begin(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            sender=Sender(
                aetitle=request.caller.aetitle,
                address=request.caller.address,
                originator=request.originator,
            ),
        )

    async def send(self, request: StoreRequest, path: Path) -> int:
        """Send an object to the node, over a new association where there is none.

        Returns
        -------
        int
            What the node answers; 0xA700 where it does not.
        """
        pair = (request.sop_class_uid, request.transfer_syntax_uid)
        async with self._turn:
            for again in (True, False):
                try:
                    association = await self._associated(pair, request.caller.aetitle)
                    return await association.store(path, originator=self._originator)
                except AssociationLost as error:
                    await self._end(error)
                    if not again:
                        return self._failed(error)
                except NodeError as error:
                    await self._end(error)
                    return self._failed(error)
                except BaseException as error:
                    await self._end(error)
                    raise
        raise AssertionError("the second attempt returned")

    async def close(self) -> None:
        """Let go of the node, and of the folder."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        async with self._turn:
            await self._end(None)
            if self._is_open:
                self._is_open = False
                await asyncio.to_thread(self._spool.close)

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Let a task not be collected, and be waited for at the end."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _associated(self, pair: StorageContext, source: str) -> ServiceUser:
        """Return an association that has a context for an object.

        Raises
        ------
        NodeError
            There is none.
        """
        association = self._association
        calling = self._node.calling_aetitle if source in self._refused else source
        if (
            association is not None
            and not association.is_over
            and pair in self._pairs
            and self._calling == calling
        ):
            return association
        await self._end(None)
        wanted = [*self._pairs, pair][-MAXIMUM_CONTEXTS:]
        self._pairs = dict.fromkeys(wanted)
        if calling == source:
            try:
                return await self._associate(source)
            except PeerRefused as error:
                if error.transient:
                    raise
                log.info("The node that is running takes nothing from %s here: %s", source, error)
                self._refused.add(source)
        return await self._associate(self._node.calling_aetitle)

    async def _associate(self, calling: str) -> ServiceUser:
        peer = replace(self._node, calling_aetitle=calling)
        self._calling = calling
        self._association = await self._stack.enter_async_context(
            associate(peer, storage=list(self._pairs), response_timeout=_TO_STORE)
        )
        return self._association

    async def _end(self, error: BaseException | None) -> None:
        stack, self._stack, self._association = self._stack, AsyncExitStack(), None
        with contextlib.suppress(NodeError):
            await stack.__aexit__(type(error) if error else None, error, None)

    def _failed(self, error: NodeError) -> int:
        log.error("The node that is running did not take an object: %s", error)
        return Status.OUT_OF_RESOURCES


class Recipient(Protocol):
    """Who gets an object that is in a file of ours for as long as that takes."""

    async def begin(self, request: StoreRequest) -> Writing:
        """Begin the file of an object. Raises `StorageError` where there is no room for it."""

    async def send(self, request: StoreRequest, path: Path) -> int:
        """Take the whole object; return the status that its sender is told."""

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Let a task not be collected, and be waited for at the end."""


class SinkToFile:
    """Takes one dataset into a file, hands that on when it is whole, and removes it."""

    def __init__(self, relay: Recipient, request: StoreRequest) -> None:
        self._relay = relay
        self._request = request
        self._parts: list[bytes] = []
        self._gathered = 0
        self._writing: Writing | None = None
        self._failure: StorageError | None = None
        self._discarded = False

    @property
    def full(self) -> bool:
        """See `StoreSink.full`."""
        return self._gathered >= _FULL_AT

    def write(self, data: bytes) -> None:
        """See `StoreSink.write`."""
        if self._failure is None:
            self._parts.append(data)
            self._gathered += len(data)

    async def drained(self) -> None:
        """See `StoreSink.drained`."""
        try:
            await self._write_out()
        except StorageError as error:
            self._failure = error

    async def finish(self) -> int:
        """See `StoreSink.finish`."""
        finishing = asyncio.create_task(self._finish(), name="hand on an object")
        self._relay.keep(finishing)
        return await asyncio.shield(finishing)

    def discard(self) -> None:
        """See `StoreSink.discard`."""
        self._discarded = True
        self._parts, self._gathered = [], 0
        self._relay.keep(asyncio.create_task(self._remove(), name="forget an object"))

    async def _remove(self) -> None:
        """Remove the file, once what is being written to it is."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await asyncio.to_thread(writing.abandon)

    async def _finish(self) -> int:
        try:
            if self._failure is not None:
                raise self._failure
            writing = await self._write_out()
            return await self._relay.send(self._request, writing.path)
        except StorageError as error:
            log.error("An object was not handed on: %s", error)  # noqa: TRY400
            return Status.OUT_OF_RESOURCES
        finally:
            await self._remove()

    async def _write_out(self) -> Writing:
        if self._writing is None:
            self._writing = await self._relay.begin(self._request)
        if self._discarded:
            raise StorageError("its sender has gone")
        parts, self._parts, self._gathered = self._parts, [], 0
        writing = self._writing
        await asyncio.to_thread(writing.append, parts)
        return writing
