"""Connecting to a peer, with TLS where it is configured, and the words for what goes wrong."""

import asyncio
import ssl
from typing import Any

from node.errors import PeerRefused, PeerUnreachable
from node.net.messages import Peer
from node.net.scu.rejections import explain
from node.net.transport.tls import TO_SHUT_DOWN
from node.upperlayer import Rejection


async def dial(peer: Peer, protocol: asyncio.BaseProtocol, *, patience: float | None) -> None:
    """Connect a protocol to a peer.

    Parameters
    ----------
    patience
        Seconds for the connection, and for its TLS handshake; None waits as long as it takes.

    Raises
    ------
    PeerUnreachable
        Nobody answers there; or not with TLS, where that is configured.
    PeerRefused
        The peer's certificate is not accepted.
    ConfigurationError
        The files for TLS cannot be used.
    """
    options: dict[str, Any] = {}
    over = ""
    if peer.tls is not None:
        over = " with TLS"
        options = {
            "ssl": await asyncio.to_thread(peer.tls.context),
            "server_hostname": peer.tls.server_name or peer.host,
            "ssl_handshake_timeout": patience,
            "ssl_shutdown_timeout": TO_SHUT_DOWN,
        }
    try:
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().create_connection(
                lambda: protocol, peer.host, peer.port, **options
            )
    except (TimeoutError, ConnectionRefusedError) as error:
        raise PeerUnreachable(
            f"{where(peer)}: nobody answers{over} at that address and port"
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise PeerRefused(
            f"{where(peer)}: its certificate is not accepted: {error.verify_message}"
        ) from error
    except OSError as error:
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise PeerUnreachable(f"{where(peer)}: no connection{over}: {why or error}") from error


def where(peer: Peer) -> str:
    """Return a peer's name, title and address, for a message."""
    return f"{peer.name} ({peer.aetitle} at {peer.host} port {peer.port})"


def unanswered(peer: Peer) -> PeerUnreachable:
    """Return the error of a connection on which no association comes about."""
    return PeerUnreachable(
        f"{where(peer)}: the connection opened, but the association was not answered within "
        f"{peer.timeouts.acse:g} s or was aborted; is that a DICOM port?"
    )


def rejected(peer: Peer, rejection: Rejection) -> PeerRefused:
    """Return the error of an association that the peer rejects."""
    return PeerRefused(
        f"{where(peer)} rejected the association from {peer.calling_aetitle}: {explain(rejection)}",
        rejection=(rejection.result, rejection.source, rejection.reason),
    )
