"""From the configured peers to the network's, and the simplest thing to do with one."""

import logging
import time

from node.config import Config, PeerSettings
from node.errors import NodeError, PeerRefused
from node.net.dimse.contexts import Service
from node.net.messages import Peer, Timeouts
from node.net.scu.own_certificate import has_our_key, why_refused
from node.net.scu.requestor import associate
from node.ops.tls import acceptor_tls, requestor_tls, to_ourselves

log = logging.getLogger(__name__)

_THERE_ALL_THE_SAME = {(1, 1, 3), (2, 3, 2)}
"""Calling AE title not recognised; local limit exceeded."""


def peer_of(settings: PeerSettings) -> Peer:
    """Return a configured peer as the network's value."""
    timeouts = settings.timeouts
    return Peer(
        name=settings.name,
        aetitle=settings.aetitle,
        host=settings.host,
        port=settings.port,
        calling_aetitle=settings.calling_aetitle,
        timeouts=Timeouts(
            connect=timeouts.connect,
            acse=timeouts.acse,
            dimse=timeouts.dimse,
            network=timeouts.network,
        ),
        tls=requestor_tls(settings.tls),
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
