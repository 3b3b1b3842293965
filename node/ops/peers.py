"""From the configured peers to the network's, and the simplest thing to do with one."""

import logging
import time

from node.config import Config, PeerSettings
from node.errors import ConfigurationError, NodeError, PeerRefused
from node.net.dimse.contexts import Service
from node.net.messages import Peer, Timeouts
from node.net.qido.place import WebLogin, WebPeer
from node.net.scu.own_certificate import has_our_key, why_refused
from node.net.scu.requestor import associate
from node.ops.tls import acceptor_tls, requestor_tls, to_ourselves, web_tls
from schema.moving.senders import Senders

log = logging.getLogger(__name__)

_THERE_ALL_THE_SAME = {(1, 1, 3), (2, 3, 2)}
"""Calling AE title not recognised; local limit exceeded."""


def senders_of(config: Config) -> Senders:
    """Return who sends images for which peer: its own AE title, and those under which it stores.

    What we fetch at its DICOMweb service comes under the title that is its `source`.
    """
    peers: dict[str, set[str]] = {}
    ours = {config.node.aetitle}
    for peer in config.peers.values():
        ours.add(peer.calling_aetitle)
        for title in peer.sends_as:
            peers.setdefault(title, set()).add(peer.name)
    return Senders(
        peers={title: frozenset(names) for title, names in peers.items()}, ours=frozenset(ours)
    )


def peer_of(settings: PeerSettings) -> Peer:
    """Return a configured peer as the network's value.

    Raises
    ------
    ConfigurationError
        It is known by its URL alone.
    """
    if settings.aetitle is None or settings.host is None or settings.port is None:
        raise ConfigurationError(
            f"peers.{settings.name} has a url alone: find, move and echo go there (QIDO-RS,"
            " WADO-RS); what goes over DIMSE, as send and probe do, needs its aetitle, host and"
            " port as well"
        )
    return Peer(
        name=settings.name,
        aetitle=settings.aetitle,
        host=settings.host,
        port=settings.port,
        calling_aetitle=settings.calling_aetitle,
        timeouts=_timeouts(settings),
        tls=requestor_tls(settings.tls),
    )


def web_peer_of(settings: PeerSettings) -> WebPeer | None:
    """Return the DICOMweb service of a configured peer; None where it has none."""
    if settings.url is None:
        return None
    given = settings.credentials
    secret = given.password or given.token
    file = given.password_file or given.token_file
    login = None
    if secret is not None or file is not None:
        login = WebLogin(
            user=given.user, secret=secret.get_secret_value() if secret else "", file=file
        )
    return WebPeer(
        name=settings.name,
        url=settings.url,
        login=login,
        timeouts=_timeouts(settings),
        tls=web_tls(settings.tls),
    )


def peer_to_query(settings: PeerSettings) -> Peer | WebPeer:
    """Return whom to ask for studies: the DICOMweb service of a peer that has one."""
    return web_peer_of(settings) or peer_of(settings)


def _timeouts(settings: PeerSettings) -> Timeouts:
    timeouts = settings.timeouts
    return Timeouts(
        connect=timeouts.connect,
        acse=timeouts.acse,
        dimse=timeouts.dimse,
        network=timeouts.network,
    )


def ourselves(config: Config) -> Peer:
    """Return this node as a peer, to ask whether it is running."""
    return Peer(
        name="this node",
        aetitle=config.node.aetitle,
        host=config.node.own_host,
        port=config.node.port,
        calling_aetitle=config.node.aetitle,
        timeouts=Timeouts(connect=2.0, acse=5.0, dimse=5.0, network=10.0),
        tls=to_ourselves(config.node.tls),
    )


async def is_running(config: Config) -> bool:
    """Tell whether a node answers under our AE title at our address.

    One that refuses us because of our calling title, or because it is full, has checked the
    called title before: it is there (PS3.8 9.3.4). With TLS, one that has our private key is.
    """
    peer = ourselves(config)
    try:
        await echo(peer)
    except PeerRefused as error:
        if error.rejection is not None:
            return error.rejection in _THERE_ALL_THE_SAME
    except NodeError:
        pass
    else:
        return True
    tls = acceptor_tls(config.node.tls)
    if tls is None or peer.tls is None or (why := why_refused(tls, peer.tls)) is None:
        return False
    log.warning(
        "The node does not accept its own certificate (%s) from a client, so it cannot be asked"
        " with C-ECHO whether it is running: the certificate needs the extended key usages"
        " serverAuth and clientAuth, and its authority has to be in node.tls.ca",
        why,
    )
    return await has_our_key(peer)


async def echo(peer: Peer) -> float:
    """Associate, C-ECHO, release; return how many seconds it took.

    Raises
    ------
    PeerUnreachable, PeerRefused, PeerFailure, AssociationLost
    """
    began = time.monotonic()
    async with associate(peer, Service.ECHO) as association:
        await association.echo()
    return time.monotonic() - began


async def echo_web(peer: WebPeer) -> float:
    """Ask a DICOMweb service for one study at most; return how many seconds it took.

    Raises
    ------
    PeerUnreachable, PeerRefused, PeerFailure, AssociationLost
    """
    from node.net.qido.line import WebLine  # noqa: PLC0415 - loads the HTTP library, in 0.2 s

    began = time.monotonic()
    line = await WebLine(peer).get()
    try:
        await line.echo()
    finally:
        await line.close()
    return time.monotonic() - began
