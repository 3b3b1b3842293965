"""P-DATA-TF PDUs that are sent: no longer than the peer takes (PS3.8 9.3.5, Annex D.1)."""

from node.upperlayer.errors import InvalidPDU
from node.upperlayer.framing import PDUType, frame, p_data_header

_UNLIMITED = 1 << 17
"""Bytes of P-DATA that we put into one PDU where the peer sets no limit, or a higher one."""

_OVERHEAD = 6
"""Bytes of a PDU's variable part that are not data: length, context and control (9.3.5.1)."""

_SMALL = 1 << 10
"""Bytes of data in a PDU below which PDUs are put together: each is an object otherwise."""


def usable_maximum(maximum_length: int) -> int:
    """Return how many bytes we put into one PDU for a peer that says this; 0 is no limit.

    Raises
    ------
    InvalidPDU
        When no data fits into that.
    """
    if 0 < maximum_length <= _OVERHEAD:
        raise InvalidPDU(f"a maximum length of {maximum_length} leaves no room for data")
    return min(maximum_length or _UNLIMITED, _UNLIMITED)


def data_pdus(
    context_id: int, data: bytes, *, command: bool, last: bool, maximum: int
) -> list[bytes]:
    """Return the PDUs that carry the data, in pieces that are to be written one after the other.

    Parameters
    ----------
    last
        Whether the command set or the dataset ends with this data.
    maximum
        Bytes of one PDU, see `usable_maximum`.
    """
    most = maximum - _OVERHEAD
    most -= most > 1 and most % 2  # DCMTK aborts on a fragment of odd length
    length = len(data)
    if length <= most:
        return [p_data_header(context_id, length, command=command, last=last), data]
    pieces: list[bytes] = []
    small = bytearray()
    view = memoryview(data)
    for start in range(0, length, most):
        part = view[start : start + most]
        ends = last and start + most >= length
        header = p_data_header(context_id, len(part), command=command, last=ends)
        if most < _SMALL:
            small += header
            small += part
        else:
            pieces += (header, part)  # type: ignore[arg-type]  # written like bytes
    return [bytes(small)] if small else pieces


class Outgoing:
    """What is to be written, in order.

    Attributes
    ----------
    maximum
        Bytes of a P-DATA-TF PDU that the peer takes, see `usable_maximum`.
    """

    def __init__(self) -> None:
        self.maximum = 0
        self._pieces: list[bytes] = []

    def take(self) -> list[bytes]:
        """Return it, and forget it."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def pdu(self, kind: PDUType, body: bytes = bytes(4)) -> None:
        """Add a PDU; without a body it is one of those that say nothing but their type."""
        self._pieces.append(frame(kind, body))

    def data(self, context_id: int, data: bytes, *, command: bool, last: bool) -> None:
        """Add the PDUs that carry the data, see `data_pdus`."""
        self._pieces += data_pdus(
            context_id, data, command=command, last=last, maximum=self.maximum
        )
