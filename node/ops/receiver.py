"""The receiving half of the node: acceptor, archive and index writer, started together."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from node.config import Config
from node.errors import ListenError
from node.net.acceptor import Acceptor
from node.net.messages import Services, Timeouts
from node.ops.ingest import Ingest
from node.ops.peers import is_running
from node.storage.archive import Archive
from schema import Database

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A receiver that is listening.

    Attributes
    ----------
    acceptor
        Listens, and says where.
    writer
        The task that indexes; when it ends by itself, something is wrong.
    """

    acceptor: Acceptor
    writer: "asyncio.Task[None]"


@asynccontextmanager
async def receiving(config: Config, database: Database) -> AsyncIterator[Receiver]:
    """Listen for and index images for the length of the block, then drain.

    Raises
    ------
    ListenError
        The address is taken, or not ours.
    StorageError
        The storage directory cannot be used.
    """
    node = config.node
    for weakness in await database.weaknesses():
        log.warning("An acknowledged image may be lost from the index: %s", weakness)
    archive = Archive(config.storage.directory, config.storage.layout)
    await asyncio.to_thread(archive.open)
    try:
        ingest = Ingest(database, archive, aetitle=node.aetitle, institution=node.institution)
        acceptor = Acceptor(
            aetitle=node.aetitle,
            host=node.host,
            port=node.port,
            services=Services(store=ingest.store),
            require_called_aetitle=node.require_called_aetitle,
            allowed_calling=node.allowed_calling,
            max_associations=node.max_associations,
            timeouts=Timeouts(
                acse=node.timeouts.acse,
                dimse=node.timeouts.dimse,
                network=node.timeouts.network,
            ),
        )
        await acceptor.start()
        writer = asyncio.create_task(ingest.run(), name="index writer")
        try:
            yield Receiver(acceptor=acceptor, writer=writer)
        finally:
            try:
                await acceptor.drain(node.grace)
            finally:
                # stores that still wait for the database fail now, and their associations end
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
                await acceptor.stop()
    finally:
        await asyncio.to_thread(archive.close)


@asynccontextmanager
async def receiver_or_running_node(
    config: Config, database: Database
) -> AsyncIterator[Receiver | None]:
    """Use the node that is running at our address, or receive for the length of the block.

    Yields
    ------
    Receiver or None
        None when a running node receives.

    Raises
    ------
    ListenError
        The address is taken, but not by a node that answers under our AE title.
    """
    async with AsyncExitStack() as stack:
        receiver: Receiver | None = None
        try:
            receiver = await stack.enter_async_context(receiving(config, database))
        except ListenError as taken:
            if not await is_running(config):
                raise ListenError(
                    f"{taken}, and what listens there does not answer as {config.node.aetitle}"
                ) from taken
        yield receiver
