"""TLS by contexts that are given, where the node makes its own from files."""

import ssl
from pathlib import Path

from node.net.transport.tls import AcceptorTLS, Renewing, RequestorTLS


class Given(Renewing):
    """An acceptor's context that is never renewed.

    Parameters
    ----------
    context
        Of the server's side.
    handshake
        Seconds that a handshake may take.
    """

    def __init__(self, context: ssl.SSLContext, handshake: float) -> None:
        self.settings = AcceptorTLS(certificate=Path(), key=Path(), handshake=handshake)
        self._given = context

    def current(self) -> ssl.SSLContext:
        """Return it."""
        return self._given


class _ToRequest(RequestorTLS):
    __slots__ = ("given",)
    given: ssl.SSLContext

    def context(self) -> ssl.SSLContext:
        """Return it."""
        return self.given


def given_to_request(context: ssl.SSLContext, server_name: str) -> RequestorTLS:
    """Return the TLS of an association that we request with a context that is given."""
    found = _ToRequest(server_name=server_name)
    object.__setattr__(found, "given", context)
    return found
