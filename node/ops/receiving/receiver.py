"""The receiving half of the node: acceptor, archive and index writer, started together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from node.config import Config
from node.errors import ListenError
from node.net.messages import Services, StoreHandler, StoreRequest, StoreSink
from node.net.scp.acceptor import Acceptor
from node.ops.database import Opening, warn_of_weaknesses
from node.ops.indexing.indexer import Indexer
from node.ops.peers import is_running, senders_of
from node.ops.receiving.gate import Gate
from node.ops.receiving.listening import acceptor_of
from node.ops.receiving.spooling import Spooler
from node.storage.archive import Archive
from node.storage.spool import Spool
from schema import Database
from schema.parsing.headers import HeaderReader
from schema.text.words import are, counted, counted_are

log = logging.getLogger(__name__)

Answering = Callable[[Callable[[], bool]], Services]
"""Returns the services that answer others; it is told what tells whether objects come."""


_TO_INDEX = 8.0
_IN_TROUBLE = 2.0
"""Seconds that the indexer has at the end for what has been received, at most: as a rule, and
where it gets nowhere at the moment."""

_TO_END = 5.0
"""Seconds after which it is told again to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A receiver that is listening.

    Attributes
    ----------
    acceptor
        Listens, and says where.
    indexer
        Indexes what has been received.
    gate
        Says whether objects are taken.
    writer
        The indexer's task; when it ends by itself, something is wrong.
    store
        Takes objects that do not come by way of the acceptor: from C-GET, and over HTTP.
    """

    acceptor: Acceptor
    gate: Gate
    indexer: Indexer
    writer: "asyncio.Task[None]"
    store: StoreHandler


@asynccontextmanager
async def receiving(
    config: Config,
    database: Database,
    *,
    opening: Opening | None = None,
    answering: Answering | None = None,
) -> AsyncIterator[Receiver]:
    """Listen for and index images for the length of the block, then drain.

    Parameters
    ----------
    opening
        The database when it may still be away: images wait in the spool until it is ready.
    answering
        What is offered beside storage.

    Raises
    ------
    ListenError
        The address is taken, or not ours.
    StorageError
        The storage directory cannot be used.
    """
    node = config.node
    if opening is None:
        await warn_of_weaknesses(database)
    spool = Spool(config.storage.directory)
    indexer = Indexer(
        database,
        Archive(config.storage.directory, config.storage.layout),
        spool,
        HeaderReader(institution=node.institution),
        aetitle=node.aetitle,
        senders=senders_of(config),
    )
    gate = Gate(spool, indexer)
    spooler = Spooler(spool, accepted=indexer.put, refusal=gate.refusal)
    offered = Services() if answering is None else answering(spooler.is_busy)

    def store(request: StoreRequest) -> StoreSink:
        offered.arriving(request)
        return spooler.open(request)

    acceptor = acceptor_of(config, replace(offered, store=store))
    left_over = await asyncio.to_thread(spool.open)
    written = True
    try:
        if left_over:
            images, still = counted(len(left_over), "image"), are(len(left_over))
            log.warning("%s of an earlier process %s still to be indexed", images, still)
        for path in left_over:
            indexer.put(path)
        await gate.look()
        await acceptor.start()
        writer = asyncio.create_task(_run(indexer, opening), name="indexer")
        try:
            yield Receiver(
                acceptor=acceptor, gate=gate, indexer=indexer, writer=writer, store=spooler.open
            )
        finally:
            try:
                await acceptor.drain(node.grace)
                await acceptor.stop()
                written = await spooler.close()
                await _finish(indexer, writer, node.grace)
            finally:
                while not writer.done():  # drivers may make an error of a cancellation
                    writer.cancel()
                    await asyncio.wait({writer}, timeout=_TO_END)
                await asyncio.gather(writer, return_exceptions=True)
                await acceptor.stop()
                written = written and await spooler.close()
    finally:
        gate.close()
        if written:
            await asyncio.to_thread(spool.close)


async def _run(indexer: Indexer, opening: Opening | None) -> None:
    if opening is not None:
        if opening.trouble is not None:
            indexer.wait_for_database(opening.trouble)
        await opening.ready()
    await indexer.run()


async def _finish(indexer: Indexer, writer: "asyncio.Task[None]", grace: float) -> None:
    """Index what is left, for as long as that goes on; the rest is for the next start."""
    most = _TO_INDEX if indexer.trouble is None else _IN_TROUBLE
    idle = asyncio.create_task(indexer.wait_settled(), name="idle")
    try:
        await asyncio.wait(
            {idle, writer},
            timeout=min(grace, most),
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        idle.cancel()
    if indexer.backlog:
        log.warning(
            "%s left in the spool for the next start", counted_are(indexer.backlog, "image")
        )


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
