"""Opening a connection that came in: its TLS handshake, and the words for why there is none."""

import asyncio
import socket
import ssl

from node.net.transport.tls import TO_SHUT_DOWN, Renewing
from node.upperlayer.framing import resemblance

_HEAD = 8
"""Bytes that tell what a connection is about."""

_LEAST = 0.1
"""Seconds for a handshake whose first byte came at the last moment."""

_WORDS = {
    "NO_SHARED_CIPHER": "it offers no cipher that is allowed here",
    "UNSUPPORTED_PROTOCOL": "it speaks nothing newer than TLS 1.1",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate",
    "WRONG_VERSION_NUMBER": "what it sends is no TLS",
    "HTTP_REQUEST": "what it sends is no TLS",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, it says",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
}
"""For what OpenSSL calls the usual reasons; its own words for the others."""


async def open_accepted(
    sock: socket.socket, protocol: asyncio.BaseProtocol, tls: Renewing | None
) -> str | None:
    """Give a connection that came in to asyncio, its TLS handshake included.

    With TLS, nothing is made for it before its first byte has come.

    Returns
    -------
    str or None
        Why there is no connection, in words; empty where the peer has gone or stayed silent
        before it said anything, as those do who only look whether a port is open. None when
        it is open: its protocol has been told.
    """
    loop = asyncio.get_running_loop()
    if tls is None:
        try:
            await loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError:
            return ""
        return None
    patience = tls.settings.handshake
    began = loop.time()
    head = b""
    try:
        head = await _first_bytes(sock, patience)
        if not head:
            return ""
        await loop.connect_accepted_socket(
            lambda: protocol,
            sock,
            ssl=tls.current(),
            ssl_handshake_timeout=max(_LEAST, began + patience - loop.time()),
            ssl_shutdown_timeout=TO_SHUT_DOWN,
        )
    except (OSError, EOFError) as error:  # of TLS, or of a peer that is gone already
        # asyncio's frames in it refer to it: a circle that keeps the buffers of the handshake,
        # 300 KB, until the garbage collector comes.
        error.__traceback__ = None
        return _why(error, head, patience) if head else ""
    return None


async def _first_bytes(sock: socket.socket, patience: float) -> bytes:
    """Wait until something has come, and return its beginning without taking it.

    Raises
    ------
    OSError
        Nothing came in time, or the peer has reset the connection.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        async with asyncio.timeout(patience):
            await readable.wait()
    finally:
        loop.remove_reader(sock)
    return sock.recv(_HEAD, socket.MSG_PEEK)


def _why(error: OSError | EOFError, head: bytes, patience: float) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "the handshake fails"
        why = _WORDS.get(reason, reason.replace("_", " ").lower())
    elif isinstance(error, ConnectionAbortedError):
        why = f"the handshake was not finished within {patience:g} s"
    else:
        why = "it hung up during the handshake"
    seen = resemblance(head)
    return f"{why}; it looks like {seen}" if seen and not head.startswith(b"\x16") else why
