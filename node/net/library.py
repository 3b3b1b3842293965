"""The network library's process-wide switches, set in one place.

pynetdicom keeps some of its behaviour in module variables; there is no other way to choose
them. `configure` is called wherever an association can begin, and may be called again.
"""

import logging
import socket
from typing import cast

from pynetdicom import _config, evt

IMPLEMENTATION_VERSION_NAME = "DICOM_NODE"
"""PS3.7 D.3.3.2: up to 16 characters that tell peers what they are speaking to."""

MAXIMUM_PDU_LENGTH = 131072
"""Bytes of P-DATA that we take in one PDU (PS3.8 D.1): DCMTK's own maximum."""


def configure() -> None:
    """Set the library up: every storage class, files sent as they are, no patient data in logs."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.ENFORCE_UID_CONFORMANCE = False
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
