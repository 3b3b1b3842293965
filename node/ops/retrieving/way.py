"""By which way a peer is asked for images, and who goes it."""

from collections.abc import Callable

from node.config import PeerSettings
from node.config.peer.settings import RetrieveWay
from node.errors import ConfigurationError
from node.net.dimse.contexts import Service
from node.net.messages import Peer, StoreHandler
from node.net.qido.place import WebPeer
from node.ops.peers import peer_of, web_peer_of
from node.ops.probing.knowledge import PeerKnowledge
from node.ops.retrieving.c_get import GetRequests
from node.ops.retrieving.c_move import OUR_ADDRESS, MoveRequests
from node.ops.retrieving.pieces import MOST_UIDS
from node.ops.retrieving.retriever import Retriever
from node.ops.stalls import TimeLimits


def way_of(settings: PeerSettings, knowledge: PeerKnowledge | None = None) -> RetrieveWay:
    """Return how a peer is asked for images: as it is configured, else as it can be.

    That is C-MOVE; C-GET where it accepted that and no C-MOVE when it was probed; and WADO-RS where
    it has a URL and neither.
    """
    if settings.retrieve is not RetrieveWay.AUTO:
        return settings.retrieve
    if not settings.speaks_dimse:
        return RetrieveWay.WADO
    if knowledge is None or not knowledge.moves_nothing:
        return RetrieveWay.MOVE
    if knowledge.profile.get or knowledge.accepts(Service.GET):
        return RetrieveWay.GET
    return RetrieveWay.MOVE if settings.url is None else RetrieveWay.WADO


def peer_to_list(settings: PeerSettings, knowledge: PeerKnowledge | None = None) -> Peer | WebPeer:
    """Return whom to ask what there is to retrieve: who is asked for the images.

    Raises
    ------
    ConfigurationError
        The peer has not what that way needs.
    """
    if way_of(settings, knowledge) is RetrieveWay.WADO:
        return _web_of(settings)
    return peer_of(settings)


def _web_of(settings: PeerSettings) -> WebPeer:
    web = web_peer_of(settings)
    if web is None:
        raise ConfigurationError(f"peers.{settings.name} has no url, which WADO-RS needs")
    return web


def retriever_for(
    settings: PeerSettings,
    knowledge: PeerKnowledge | None = None,
    *,
    destination: str,
    address: str = OUR_ADDRESS,
    store: Callable[[], StoreHandler],
    limits: TimeLimits,
    answered: Callable[[], None] = lambda: None,
) -> Retriever:
    """Return who asks a peer for images; one for each of what is asked for at once.

    Parameters
    ----------
    knowledge
        What is known of it.
    destination
        Our AE title, as the peer knows it: for C-MOVE.
    address
        Where we listen under it, in words.
    store
        Returns who takes what we fetch ourselves; asked only where we do.
    limits
        Of each request.
    answered
        Called with each response that is no failure.

    Raises
    ------
    ConfigurationError
        The peer has not what that way needs, or what it needs cannot be used.
    """
    way = way_of(settings, knowledge)
    if way is RetrieveWay.WADO:
        # the HTTP library takes 0.2 s to load, which nobody waits for who retrieves over DIMSE
        from node.ops.retrieving.wado_rs import WebRequests  # noqa: PLC0415

        web, source = _web_of(settings), settings.source
        return WebRequests(web, store=store(), source=source, limits=limits, answered=answered)
    peer = peer_of(settings)
    lists = None if knowledge is None else knowledge.profile.uid_lists
    piece = 1 if lists is False else MOST_UIDS
    if way is RetrieveWay.GET:
        return GetRequests(peer, store=store(), limits=limits, answered=answered, piece=piece)
    return MoveRequests(
        peer,
        destination=destination,
        address=address,
        limits=limits,
        answered=answered,
        piece=piece,
    )
