"""Our own certificate, shown to our own port: whether it is good for that, and whose port it is."""

import asyncio
import contextlib
import ssl
from dataclasses import replace

from node.net.messages import Peer
from node.net.transport.tls import AcceptorTLS, Renewing, RequestorTLS

_ROUNDS = 10
"""Flights of a handshake; TLS 1.3 has three."""


def why_refused(acceptor: AcceptorTLS, requestor: RequestorTLS) -> str | None:
    """Say why a handshake of ours with ourselves fails; None when it does not.

    Certificates for servers only are common, and so are authorities of clients that are not the
    server's own. The handshake is made in memory.

    Raises
    ------
    ConfigurationError
        The files cannot be used.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = Renewing(acceptor).current().wrap_bio(to_server, to_client, server_side=True)
    client = requestor.context().wrap_bio(to_client, to_server)
    for _ in range(_ROUNDS):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            except ssl.SSLError as error:
                return error.reason or "the handshake fails"
    return None


async def has_our_key(peer: Peer) -> bool:
    """Tell whether who listens at our address proves to have our private key.

    In TLS 1.3 that comes before it looks at a client's certificate, so none is shown.

    Raises
    ------
    ConfigurationError
        The files cannot be used.
    """
    assert peer.tls is not None, "there is no key without TLS"  # noqa: S101
    context = replace(peer.tls, certificate=None, key=None).context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        async with asyncio.timeout(peer.timeouts.connect):
            _, writer = await asyncio.open_connection(peer.host, peer.port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(peer.timeouts.connect):
            await writer.wait_closed()
    return True
