"""A peer's DICOMweb service, as the network sees it."""

from dataclasses import dataclass, field
from pathlib import Path

from node.net.messages import Timeouts
from node.net.transport.tls import RequestorTLS


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLogin:
    """How we log in.

    Attributes
    ----------
    user
        Of a basic login (RFC 7617); empty where the secret is a bearer token (RFC 6750).
    secret
        The password, or the token.
    file
        Where that is, in place of `secret`.
    """

    user: str = ""
    secret: str = field(default="", repr=False)
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPeer:
    """A DICOMweb service, and how to speak to it.

    Attributes
    ----------
    name
        What the operator calls it.
    url
        Its base URL (PS3.18 8.2), without a slash at the end.
    login
        None where there is none.
    timeouts
        `connect` is for the TCP connection and TLS; `dimse` for the next part of a response.
    tls
        With what to speak TLS where the URL says https.
    """

    name: str
    url: str
    login: WebLogin | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: RequestorTLS = field(default_factory=RequestorTLS)
