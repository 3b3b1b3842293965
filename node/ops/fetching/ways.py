"""By which ways a peer can be asked for images, and a listener for the one that needs it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from node.config import Config, PeerSettings
from node.config.peer.settings import RetrieveWay
from node.errors import ListenError, PeerRefused
from node.net.dimse.contexts import Service
from node.net.messages import Services, StoreHandler
from node.net.scu.requestor import associate
from node.ops.fetching.wish import FetchWish
from node.ops.peers import is_running, peer_of
from node.ops.receiving.listening import acceptor_of

log = logging.getLogger(__name__)


async def ways_to_fetch(settings: PeerSettings, wish: FetchWish) -> list[RetrieveWay]:
    """Return the ways to go, the first one first: as is wished, as is configured, or as can be.

    Those that need no address of ours come first. What the peer offers over DIMSE, it is asked.

    Raises
    ------
    PeerUnreachable, PeerRefused
        It cannot be asked, or offers none.
    """
    if wish.way is not RetrieveWay.AUTO:
        return [wish.way]
    if settings.retrieve is not RetrieveWay.AUTO:
        return [settings.retrieve]
    if not settings.speaks_dimse:
        return [RetrieveWay.WADO]
    peer = peer_of(settings)
    offered: set[str] = set()
    try:
        async with associate(peer, also=(Service.GET, Service.MOVE)) as association:
            offered = {abstract for abstract, _ in association.accepted_storage}
    except PeerRefused as error:
        if error.rejection is not None and settings.url is None:
            raise
        log.info("%s offers no retrieval over DIMSE: %s", settings.name, error)
    ways = [RetrieveWay.GET] if Service.GET.value in offered else []
    ways += [RetrieveWay.WADO] if settings.url is not None else []
    ways += [RetrieveWay.MOVE] if Service.MOVE.value in offered else []
    if not ways:
        raise PeerRefused(
            f"{settings.name} offers neither C-GET nor C-MOVE to {peer.calling_aetitle}, and has "
            "no url for WADO-RS"
        )
    return ways


@asynccontextmanager
async def listening(
    config: Config, settings: PeerSettings, wish: FetchWish, store: StoreHandler
) -> AsyncIterator[str]:
    """Listen for what a C-MOVE sends, for the length of the block; yields our AE title.

    Raises
    ------
    ListenError
        The address is taken, or not ours; the message says what to do where a node has it.
    """
    node = config.node
    change = {"aetitle": wish.aetitle or node.aetitle, "port": wish.port or node.port}
    ours = config.model_copy(update={"node": node.model_copy(update=change)})
    acceptor = acceptor_of(ours, Services(store=store))
    try:
        await acceptor.start()
    except ListenError as taken:
        if wish.port is not None or not await is_running(config):
            raise
        raise ListenError(
            f"{settings.name} sends by C-MOVE to the address of this node, and a node is running "
            "there, which would take the images for its own: name a title and a port that "
            f"{settings.name} knows for this (--aetitle AET --port PORT), or have them fetched by "
            "C-GET (--retrieve get) or WADO-RS (--retrieve wado), if it does that"
        ) from taken
    try:
        yield ours.node.aetitle
    finally:
        await acceptor.stop()
