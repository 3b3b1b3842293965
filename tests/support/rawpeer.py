"""A peer that says exactly what a test wants it to: bytes over a socket, and PDUs made by hand."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from node.upperlayer import (
    AssociateRequest,
    Command,
    CommandField,
    ProposedContext,
    Rejection,
    UserInformation,
)
from node.upperlayer.associate_pdus import encode_request
from node.upperlayer.dimse import DATASET, encode_command
from node.upperlayer.framing import PDUType, frame, p_data_header

VERIFICATION = "1.2.840.10008.1.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

RELEASE = frame(PDUType.RELEASE_RQ, bytes(4))
ABORT = frame(PDUType.ABORT, bytes(4))


def associate_request(
    abstract: Sequence[str] = (VERIFICATION,),
    *,
    called: str = "PACS",
    calling: str = "ME",
    maximum_length: int = 16384,
    application_context: str = "1.2.840.10008.3.1.1.1",
) -> bytes:
    """Return an A-ASSOCIATE-RQ with a context for each abstract syntax: 1, 3, 5, …"""
    contexts = tuple(
        ProposedContext(id=2 * number + 1, abstract_syntax=uid, transfer_syntaxes=(EXPLICIT,))
        for number, uid in enumerate(abstract)
    )
    user = UserInformation(maximum_length=maximum_length, implementation_class_uid="1.2.3.4")
    return frame(
        PDUType.ASSOCIATE_RQ,
        encode_request(
            AssociateRequest(
                called_aetitle=called,
                calling_aetitle=calling,
                contexts=contexts,
                user=user,
                application_context=application_context,
            )
        ),
    )


def command(fields: Command, context_id: int = 1) -> bytes:
    """Return a command set as one P-DATA-TF PDU."""
    encoded = encode_command(fields)
    return p_data_header(context_id, len(encoded), command=True, last=True) + encoded


def data(part: bytes, *, last: bool, context_id: int = 1) -> bytes:
    """Return a part of a dataset as one P-DATA-TF PDU."""
    return p_data_header(context_id, len(part), command=False, last=last) + part


def echo(message_id: int = 1, context_id: int = 1) -> bytes:
    """Return a C-ECHO request."""
    fields = Command(
        field=CommandField.C_ECHO_RQ, message_id=message_id, affected_sop_class_uid=VERIFICATION
    )
    return command(fields, context_id)


def store(message_id: int = 1, uid: str = "1.2.3", context_id: int = 1) -> bytes:
    """Return the command of a C-STORE request; its dataset is to follow."""
    fields = Command(
        field=CommandField.C_STORE_RQ,
        message_id=message_id,
        affected_sop_class_uid=CT_IMAGE,
        affected_sop_instance_uid=uid,
        priority=0,
        dataset_type=DATASET,
    )
    return command(fields, context_id)


def find(message_id: int = 1, context_id: int = 1) -> bytes:
    """Return a C-FIND request with an identifier: all studies."""
    fields = Command(
        field=CommandField.C_FIND_RQ,
        message_id=message_id,
        affected_sop_class_uid=STUDY_FIND,
        priority=0,
        dataset_type=DATASET,
    )
    identifier = struct.pack("<HH2sH6s", 0x0008, 0x0052, b"CS", 6, b"STUDY ")
    return command(fields, context_id) + data(identifier, last=True, context_id=context_id)


class RawPeer:
    """One connection to an acceptor, in the test's own event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(
        cls, port: int, *, source: str = "127.0.0.1", receive_buffer: int | None = None
    ) -> RawPeer:
        """Connect from an address of the loopback network."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.bind((source, 0))
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=sock))

    @classmethod
    async def associated(
        cls, port: int, abstract: Sequence[str] = (VERIFICATION,), **options: object
    ) -> RawPeer:
        """Connect and associate."""
        connecting = {
            key: options.pop(key) for key in ("source", "receive_buffer") if key in options
        }
        peer = await cls.connect(port, **connecting)  # type: ignore[arg-type]
        peer.send(associate_request(abstract, **options))  # type: ignore[arg-type]
        kind, body = await peer.pdu()
        assert kind == PDUType.ASSOCIATE_AC, (kind, body)
        return peer

    def send(self, data: bytes) -> None:
        """Send bytes, whatever they are."""
        self.writer.write(data)

    async def pdu(self, timeout: float = 10.0) -> tuple[int, bytes]:
        """Return the next PDU: its type and what follows its header."""
        async with asyncio.timeout(timeout):
            kind, length = struct.unpack(">BxL", await self.reader.readexactly(6))
            return kind, await self.reader.readexactly(length)

    async def rejection(self) -> Rejection:
        """Return the next PDU, which has to be an A-ASSOCIATE-RJ."""
        kind, body = await self.pdu()
        assert kind == PDUType.ASSOCIATE_RJ, (kind, body)
        return Rejection(result=body[1], source=body[2], reason=body[3])

    async def ends(self, timeout: float = 10.0) -> bytes:
        """Wait until the other side has closed, and return what it sent before."""
        async with asyncio.timeout(timeout):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        """Close the connection, without a word."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """End the connection at once, with a reset."""
        self.writer.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
