"""Where the images of a move arrive, as the mover sees it: here, or at a node that runs beside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from node.config import Config
from node.errors import StorageError
from node.net.messages import Peer, StoreHandler
from node.ops.indexing.indexer import Listener
from node.ops.peers import ourselves
from node.ops.receiving.gate import Gate
from node.ops.receiving.receiver import Receiver, receiver_or_running_node
from node.ops.receiving.relaying import Relay
from node.storage.folders import free_bytes, has_spool, spooled
from schema import Database


class Intake(Protocol):
    """Who receives."""

    @property
    def store(self) -> StoreHandler:
        """Where objects go that we have fetched ourselves: what it acknowledges is durable."""

    async def closed(self) -> str | None:
        """Return why nothing is taken at the moment; None when images can come."""

    async def arrived(self) -> Collection[Path]:
        """Return what has arrived and is to be indexed next."""

    def telling(self, listener: Listener) -> AbstractContextManager[bool]:
        """Tell what is indexed, for the length of the block; yields whether that is told at all."""


class IntakeHere:
    """Where this process receives."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def store(self) -> StoreHandler:
        """See `Intake.store`."""
        return self._receiver.store

    async def closed(self) -> str | None:
        """See `Intake.closed`."""
        return await self._receiver.gate.closed()

    async def arrived(self) -> Collection[Path]:
        """See `Intake.arrived`."""
        return self._receiver.indexer.under_way()

    @contextlib.contextmanager
    def telling(self, listener: Listener) -> Iterator[bool]:
        """See `Intake.telling`."""
        with self._receiver.indexer.telling(listener):
            yield True


class IntakeBeside:
    """Where a node that is running receives, into the storage directory that it shares with us.

    It judges by the space on the same disk and by what waits in the same spool: so do we.

    Parameters
    ----------
    node
        Where it listens; what we have fetched ourselves is sent there.
    """

    def __init__(self, directory: Path, node: Peer | None = None) -> None:
        self._directory = directory
        self._relay = None if node is None else Relay(node, directory)
        self._view = _SpoolFromOutside(directory)
        self._gate = Gate(self._view, self._view)

    @property
    def store(self) -> StoreHandler:
        """See `Intake.store`."""
        if self._relay is None:
            raise StorageError("it is not known where the node listens that is running")
        return self._relay.open

    async def closed(self) -> str | None:
        """See `Intake.closed`; where it receives elsewhere, nobody can tell from here."""
        if not await asyncio.to_thread(has_spool, self._directory):
            return None
        return await self._gate.closed()

    async def arrived(self) -> Collection[Path]:
        """See `Intake.arrived`."""
        return await asyncio.to_thread(self._view.entries)

    def telling(self, listener: Listener) -> AbstractContextManager[bool]:  # noqa: ARG002
        """See `Intake.telling`."""
        return contextlib.nullcontext(False)

    def close(self) -> None:
        """Look no more."""
        self._gate.close()

    async def end(self) -> None:
        """Look no more, and hand on no more."""
        self.close()
        if self._relay is not None:
            await self._relay.close()


class _SpoolFromOutside:
    """What another process's spool looks like: with each look at the disk it is counted."""

    trouble: str | None = None

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.backlog = 0

    def free_bytes(self) -> int:
        self.backlog = len(self.entries())
        return free_bytes(self._directory)

    def entries(self) -> frozenset[Path]:
        try:
            return spooled(self._directory)
        except OSError as error:
            raise StorageError(
                f"cannot look at the storage directory {self._directory}: {error.strerror}"
            ) from error


@contextlib.asynccontextmanager
async def intake(config: Config, database: Database) -> AsyncIterator[Intake]:
    """Use the node that is running at our address, or receive for the length of the block.

    Raises
    ------
    ListenError
        The address is taken, but not by a node that answers under our AE title.
    StorageError
        The storage directory cannot be used.
    """
    async with receiver_or_running_node(config, database) as receiver:
        if receiver is not None:
            yield IntakeHere(receiver)
            return
        beside = IntakeBeside(config.storage.directory, ourselves(config))
        try:
            yield beside
        finally:
            await beside.end()
