"""From the configuration to the acceptor: limits, rights, TLS."""

from node.config import Config
from node.config.sections import NodeTLS, PeerTLS
from node.net.entity import configured
from node.net.messages import Services
from node.net.scp.acceptor import Acceptor
from node.net.scp.access import Access, KnownCaller
from node.net.scp.limits import Limits
from node.net.transport.tls import AcceptorTLS, RequestorTLS


def acceptor_of(config: Config, services: Services) -> Acceptor:
    """Return the configured acceptor, which does not listen yet.

    Raises
    ------
    ConfigurationError
        The files for TLS cannot be used.
    """
    node = config.node
    return Acceptor(
        configured(config, services),
        host=node.host,
        port=node.port,
        services=services,
        access=access_of(config),
        limits=Limits(
            per_address=node.max_associations_per_address,
            per_aetitle=node.max_associations_per_aetitle,
            unnegotiated=node.max_unnegotiated,
        ),
        tls=acceptor_tls(node.tls),
    )


def access_of(config: Config) -> Access:
    """Return who may call us, and for what."""
    entries = [
        KnownCaller(
            networks=peer.networks,
            stores=frozenset(peer.may_store),
            queries=frozenset(peer.may_query),
        )
        for peer in config.peers.values()
    ]
    return Access(entries, known_only=config.node.known_peers_only)


def acceptor_tls(tls: NodeTLS) -> AcceptorTLS | None:
    """Return how to speak TLS with those who call us; None is plain text."""
    if tls.certificate is None:
        return None
    return AcceptorTLS(
        certificate=tls.certificate,
        key=tls.key or tls.certificate,
        ca=tls.ca,
        clients=tls.client_certificates,
        bind_aetitle=tls.bind_aetitle,
        handshake=tls.handshake,
    )


def requestor_tls(tls: PeerTLS) -> RequestorTLS | None:
    """Return how to speak TLS with a peer; None is plain text."""
    if not tls.enabled:
        return None
    return RequestorTLS(
        ca=tls.ca,
        certificate=tls.certificate,
        key=tls.key,
        server_name=tls.server_name,
        check_name=tls.check_name,
    )


def to_ourselves(tls: NodeTLS) -> RequestorTLS | None:
    """Return how to speak TLS with our own port: we know the certificate that it shows."""
    if tls.certificate is None:
        return None
    return RequestorTLS(
        ca=tls.certificate, certificate=tls.certificate, key=tls.key, check_name=False
    )
