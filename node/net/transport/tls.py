"""TLS as DICOM wants it: the BCP 195 profile of PS3.15 B.12 (RFC 8996, RFC 9325).

TLS 1.2 with forward secrecy and authenticated encryption only, or TLS 1.3; nothing older, no
compression, no renegotiation. There is no plain text where TLS is configured.
"""

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from node.config.sections import ClientCertificates
from node.errors import ConfigurationError

log = logging.getLogger(__name__)

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""Of TLS 1.2 (RFC 9325 4.2); those of TLS 1.3 are all good ones."""

_LOOK = 1.0
"""Seconds from one look at the files to the next, at least."""

TO_SHUT_DOWN = 2.0
"""Seconds that a peer has for the end of TLS; the DICOM association has ended before."""

_NAMES = ("DNS", "URI")
"""Kinds of subject alternative names that can be an AE title."""

_ASKED = {
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.IGNORED: ssl.CERT_NONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorTLS:
    """TLS of those who connect to us.

    Attributes
    ----------
    certificate, key
        PEM files: our certificate with its chain, and its private key without a password.
    ca
        PEM file with the authorities of client certificates.
    clients
        Whether client certificates are asked for.
    bind_aetitle
        Whether the calling AE title has to be a name in the client certificate.
    handshake
        Seconds that a handshake may take.
    """

    certificate: Path
    key: Path
    ca: Path | None = None
    clients: ClientCertificates = ClientCertificates.REQUIRED
    bind_aetitle: bool = False
    handshake: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestorTLS:
    """TLS to a peer.

    Attributes
    ----------
    ca
        PEM file with the authorities of the peer's certificate; None takes the system's.
    certificate, key
        Our own, where the peer asks for one.
    server_name
        The name in the peer's certificate, where that is not the host's; empty takes the host.
    check_name
        Whether the certificate has to be for that name. Authorities that make certificates for
        nothing but these peers can do without.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""
    check_name: bool = True

    def context(self) -> ssl.SSLContext:
        """Return a context, from the files as they are now.

        Raises
        ------
        ConfigurationError
            A file cannot be used.
        """
        context = _context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.check_name
        _trust(context, self.ca)
        if self.certificate is not None:
            _identify(context, self.certificate, self.key or self.certificate)
        return context


class Renewing:
    """The acceptor's context, made anew when one of its files has changed.

    Files are looked at when somebody connects. New ones that cannot be used are logged once, and
    the old ones stay in force.

    Raises
    ------
    ConfigurationError
        The files cannot be used; only when it is made.
    """

    def __init__(self, settings: AcceptorTLS) -> None:
        self.settings = settings
        self._looked = monotonic()
        self._seen = self._state()
        self._context = self._load()

    def current(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        now = monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            if (state := self._state()) != self._seen:
                self._seen = state
                try:
                    self._context = self._load()
                except ConfigurationError as error:
                    log.error("The TLS files have changed, and are not used: %s", error)  # noqa: TRY400
                else:
                    log.info("The TLS files have changed, and are in force")
        return self._context

    def _files(self) -> tuple[Path, ...]:
        settings = self.settings
        files = (settings.certificate, settings.key, settings.ca)
        return tuple(path for path in files if path is not None)

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_state_of(path) for path in self._files())

    def _load(self) -> ssl.SSLContext:
        settings = self.settings
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.verify_mode = _ASKED[settings.clients]
        if settings.clients is not ClientCertificates.IGNORED:
            if settings.ca is None:
                raise ConfigurationError("client certificates need the file of their authorities")
            _trust(context, settings.ca)
        _identify(context, settings.certificate, settings.key)
        return context


def names_of(certificate: Mapping[str, Any]) -> set[str]:
    """Return the names of a verified certificate: common ones, and alternative DNS names and URIs.

    What Python does not read is no name: it writes each `otherName` as `<unsupported>`, which is
    an AE title that anybody can call himself. Nor is an empty text.

    Parameters
    ----------
    certificate
        As `ssl.SSLSocket.getpeercert` gives it; an empty one has no names.
    """
    subject = certificate.get("subject", ())
    names = {value for part in subject for key, value in part if key == "commonName"}
    names |= {value for kind, value in certificate.get("subjectAltName", ()) if kind in _NAMES}
    return names - {""}


def is_for(certificate: Mapping[str, Any], aetitle: str) -> bool:
    """Tell whether a certificate names an AE title; in DNS names, case says nothing."""
    names = names_of(certificate)
    dns = {
        value.casefold() for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"
    }
    return aetitle in names or aetitle.casefold() in dns - {""}


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHERS))
    context.options |= ssl.OP_NO_COMPRESSION | getattr(ssl, "OP_NO_RENEGOTIATION", 0)
    return context


def _trust(context: ssl.SSLContext, ca: Path | None) -> None:
    try:
        if ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca)
            # A peer's own certificate will do where its authority is not known.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{ca}: no certificates can be read: {_why(error)}") from error


def _identify(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # A key with a password would be asked for at the terminal.
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{certificate} and {key}: certificate and key cannot be used: {_why(error)}"
        ) from error


def _no_password() -> str:
    raise ValueError("the key has a password; the node needs it without one")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not PEM"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
