"""Application entities on the other side: whom we call, and who calls us."""

from dataclasses import dataclass

from node.net.transport.tls import RequestorTLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines in seconds.

    Attributes
    ----------
    connect
        For the TCP connection.
    acse
        For the answer to an association request or release.
    dimse
        For the next message of a running operation.
    network
        For an association on which nothing happens at all.
    """

    connect: float = 10.0
    acse: float = 30.0
    dimse: float = 60.0
    network: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A remote application entity, and how to speak to it.

    Attributes
    ----------
    name
        What the operator calls it.
    aetitle, host, port
        Where it listens and under which title.
    calling_aetitle
        The title under which we introduce ourselves to it.
    tls
        How to speak TLS with it; None is plain text.
    """

    name: str
    aetitle: str
    host: str
    port: int
    calling_aetitle: str
    timeouts: Timeouts = Timeouts()
    tls: RequestorTLS | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """What an application entity says of the program that it is (PS3.7 D.3.3.2); may be empty."""

    class_uid: str
    version_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The application entity on the other side of an association that we accepted.

    Attributes
    ----------
    peers
        What the operator calls the peers that call under this title from this address; none of a
        stranger.
    querying, retrieving, committing
        Those of them that may query, retrieve and ask for commitment under it: what is shown, and
        given, goes by them.
    """

    aetitle: str
    address: str
    port: int
    peers: tuple[str, ...] = ()
    querying: tuple[str, ...] = ()
    retrieving: tuple[str, ...] = ()
    committing: tuple[str, ...] = ()
