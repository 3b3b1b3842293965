"""From the configuration to TLS: with those who call us, with a peer, and with ourselves."""

from node.config.peer.settings import PeerTLS
from node.config.sections import NodeTLS
from node.net.transport.tls import AcceptorTLS, RequestorTLS


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
    return web_tls(tls) if tls.enabled else None


def web_tls(tls: PeerTLS) -> RequestorTLS:
    """Return with what to speak TLS with a peer's DICOMweb service, where its URL says https."""
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
