"""From a stream of bytes to PDUs (PS3.8 section 9.3.1), whatever pieces the bytes come in.

Type and length are judged at the six bytes of the header, before anything is kept. The data
of a P-DATA-TF PDU is handed on as it comes, a fragment at a time, and is never put together
here; other PDUs are small and are handed on whole.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from node.upperlayer.errors import InvalidPDU, UnrecognizedPDU

MAXIMUM_ASSOCIATE_LENGTH = 1 << 20
"""Bytes of the longest A-ASSOCIATE PDU that is taken; 128 full contexts need a tenth of it."""

_HEADER = struct.Struct(">BxL")
_PDV_HEADER = struct.Struct(">LBB")


class PDUType(IntEnum):
    """PS3.8 Table 9-11 and following."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


_TYPES = {int(kind): kind for kind in PDUType}

_FOUR_BYTES = frozenset(
    {PDUType.ASSOCIATE_RJ, PDUType.RELEASE_RQ, PDUType.RELEASE_RP, PDUType.ABORT}
)


@dataclass(frozen=True, slots=True)
class PDU:
    """A whole PDU that carries no data: what follows its header."""

    kind: PDUType
    body: bytes


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a presentation data value (PS3.8 9.3.5.1, Annex E).

    Attributes
    ----------
    command
        Whether it belongs to a command set, else to a dataset.
    last
        Whether the command set or dataset ends with it.
    """

    context_id: int
    command: bool
    last: bool
    data: bytes


_RESEMBLANCES = (
    (b"\x16\x03", "a TLS handshake"),
    (b"\x01\x00", "an A-ASSOCIATE-RQ in plain text"),
    *(
        (method, "an HTTP request")
        for method in (b"GET ", b"HEAD", b"POST", b"PUT ", b"OPTI", b"CONN", b"DELE", b"PRI ")
    ),
)


def resemblance(head: bytes) -> str:
    """Say what the first bytes of a connection look like, for people; empty when like nothing.

    TLS is spoken to ports without it and the reverse, and browsers look into any port.
    """
    return next((words for start, words in _RESEMBLANCES if head.startswith(start)), "")


def frame(kind: PDUType, body: bytes) -> bytes:
    """Return a PDU: its header and what follows."""
    return _HEADER.pack(kind, len(body)) + body


def p_data_header(context_id: int, length: int, *, command: bool, last: bool) -> bytes:
    """Return what precedes `length` bytes of data in a P-DATA-TF PDU with a single PDV."""
    control = (1 if command else 0) | (2 if last else 0)
    return _HEADER.pack(PDUType.P_DATA, length + 6) + _PDV_HEADER.pack(
        length + 2, context_id, control
    )


class Reader:
    """Cuts a stream of bytes into PDUs and fragments.

    Attributes
    ----------
    data_limit
        The longest P-DATA-TF PDU that is taken, in bytes; set when the association is.
    taken
        Bytes of what was fed last that what was yielded last ended with: who stops there feeds
        the rest later.
    """

    def __init__(self) -> None:
        self.data_limit = MAXIMUM_ASSOCIATE_LENGTH
        self.taken = 0
        self._partial = bytearray()
        self._kind: PDUType | None = None
        self._left = 0
        self._in_value = False
        self._value_left = 0
        self._context_id = 0
        self._control = 0

    @property
    def between_pdus(self) -> bool:
        """Whether the last PDU has ended and no byte of the next one has come."""
        return self._kind is None and not self._partial

    def feed(self, data: memoryview) -> Iterator[PDU | Fragment]:
        """Take the next bytes of the stream, and yield what they complete.

        The bytes are read while the iterator runs; afterwards the buffer may be used again.

        Raises
        ------
        InvalidPDU
            The stream cannot be understood from here on.
        """
        position, end = 0, len(data)
        while True:
            if self._kind is None:
                taken = min(_HEADER.size - len(self._partial), end - position)
                header = self._gathered(data[position : position + taken], _HEADER.size)
                position += taken
                if header is None:
                    return
                self._begin(header)
            elif self._kind is not PDUType.P_DATA:
                taken = min(self._left - len(self._partial), end - position)
                body = self._gathered(data[position : position + taken], self._left)
                position += taken
                if body is None:
                    return
                kind, self._kind = self._kind, None
                self.taken = position
                yield PDU(kind, body)
            elif self._in_value:
                taken = min(self._value_left, end - position)
                if not taken and self._value_left:
                    return
                value = bytes(data[position : position + taken])
                self.taken = position = position + taken
                yield self._fragment(value)
            elif not self._left:
                self._kind = None
            else:
                taken = min(_PDV_HEADER.size - len(self._partial), end - position)
                header = self._gathered(data[position : position + taken], _PDV_HEADER.size)
                position += taken
                if header is None:
                    return
                self._begin_value(header)

    def _gathered(self, data: memoryview, wanted: int) -> bytes | None:
        """Return so many bytes as soon as they are all there."""
        if not self._partial and len(data) == wanted:
            return bytes(data)
        self._partial += data
        if len(self._partial) < wanted:
            return None
        whole = bytes(self._partial)
        self._partial.clear()
        return whole

    def _begin(self, header: bytes) -> None:
        number, length = _HEADER.unpack(header)
        kind = _TYPES.get(number)
        if kind is None:
            seen = resemblance(header)
            hint = f"; this looks like {seen}" if seen else ""
            raise UnrecognizedPDU(f"0x{number:02X} is no type of PDU{hint}")
        if kind in _FOUR_BYTES:
            if length != 4:
                raise InvalidPDU(f"a PDU of type 0x{number:02X} has 4 bytes, not {length}")
        elif kind is PDUType.P_DATA and length < _PDV_HEADER.size:
            raise InvalidPDU(f"a P-DATA-TF PDU of {length} bytes holds no presentation data value")
        else:
            limit = self.data_limit if kind is PDUType.P_DATA else MAXIMUM_ASSOCIATE_LENGTH
            if length > limit:
                raise InvalidPDU(
                    f"a PDU of type 0x{number:02X} with {length} bytes is beyond the limit of"
                    f" {limit}"
                )
        self._kind, self._left = kind, length

    def _begin_value(self, header: bytes) -> None:
        length, self._context_id, self._control = _PDV_HEADER.unpack(header)
        if length < 2 or length + 4 > self._left:
            raise InvalidPDU(
                f"a presentation data value of {length} bytes does not fit the {self._left} bytes"
                " that are left of its PDU"
            )
        self._left -= length + 4
        if 0 < self._left < _PDV_HEADER.size:
            raise InvalidPDU(f"{self._left} bytes behind a presentation data value are none")
        self._value_left = length - 2
        self._in_value = True

    def _fragment(self, data: bytes) -> Fragment:
        self._value_left -= len(data)
        ended = not self._value_left
        if ended:
            self._in_value = False
        return Fragment(
            self._context_id,
            bool(self._control & 1),
            ended and bool(self._control & 2),
            data,
        )
