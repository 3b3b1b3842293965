"""From the configured peers to the network's, and the simplest thing to do with one."""

import time

from node.config import Config, PeerSettings
from node.errors import NodeError, PeerRefused
from node.net.contexts import Service
from node.net.messages import Peer, Timeouts
from node.net.requestor import associate
from node.ops.listening import requestor_tls, to_ourselves

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
    host = config.node.host
    return Peer(
        name="this node",
        aetitle=config.node.aetitle,
        host={"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host),  # noqa: S104 - not bound here
        port=config.node.port,
        calling_aetitle=config.node.aetitle,
        timeouts=Timeouts(connect=2.0, acse=5.0, dimse=5.0, network=10.0),
        tls=to_ourselves(config.node.tls),
    )


async def is_running(config: Config) -> bool:
    """Tell whether a node answers under our AE title at our address.

    One that refuses us because of our calling title, or because it is full, has checked the
    called title before: it is there (PS3.8 9.3.4).
    """
    try:
        await echo(ourselves(config))
    except PeerRefused as error:
        return error.rejection in _THERE_ALL_THE_SAME
    except NodeError:
        return False
    return True


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
