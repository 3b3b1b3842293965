"""The network library's process-wide switches, set in one place.

pynetdicom keeps some of its behaviour in module variables; there is no other way to choose
them. `configure` is called wherever an association can begin, and may be called again.
"""

import contextlib
import logging
import socket
from typing import cast

from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

IMPLEMENTATION_VERSION_NAME = "DICOM_NODE"
"""PS3.7 D.3.3.2: up to 16 characters that tell peers what they are speaking to."""

MAXIMUM_PDU_LENGTH = 131072
"""Bytes of P-DATA that we take in one PDU (PS3.8 D.1): DCMTK's own maximum."""

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


def configure() -> None:
    """Set the library up: every storage class, files sent as they are, no patient data in logs."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.ENFORCE_UID_CONFORMANCE = False
    setattr(AssociationSocket, "_shutdown_socket", _close_socket)  # noqa: B010 - a method of the library
    # Its INFO level writes several lines for every message, and its ERROR level repeats what
    # this package raises or logs in its own words.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def set_up_connection(event: evt.Event, timeout: float | None) -> None:
    """Give a new connection a deadline, and send every response at once.

    The library waits for the rest of a PDU on a socket without a time-out: for ever, when
    the peer stalls in the middle of one.

    Parameters
    ----------
    event
        The library's `EVT_CONN_OPEN`.
    timeout
        Seconds for each read and write.
    """
    transport = event.assoc.dul.socket
    connection = cast(socket.socket, transport.socket if transport is not None else None)
    connection.settimeout(timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acknowledge_at_once(event: evt.Event) -> None:
    """Acknowledge what has been read without the system's delay, where it can be told to.

    Senders that leave Nagle's algorithm on wait 40 ms for each image's acknowledgement.
    Linux forgets the option after a while, so it is set after each PDU.

    Parameters
    ----------
    event
        The library's `EVT_PDU_RECV`.
    """
    transport = event.assoc.dul.socket
    if _QUICKACK is not None and transport is not None and transport.socket is not None:
        with contextlib.suppress(OSError):
            transport.socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def _close_socket(transport: AssociationSocket) -> None:
    """Close a socket whether or not its peer has closed it first.

    The library's own method gives up when shutdown() fails, and then never closes.
    """
    connection = transport.socket
    if connection is None:
        return
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def close_for_good(association: Association) -> None:
    """End an association's threads and close its connection, in whatever state it is."""
    association._kill = True  # noqa: SLF001 - the library offers this only when it is negotiated
    association.dul._kill_thread = True  # noqa: SLF001
    association.dul.to_user_queue.put(None)
    if association.dul.socket is not None:
        _close_socket(association.dul.socket)
