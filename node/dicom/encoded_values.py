"""Values as they are encoded: whether two are the same, and one in short (PS3.5 6.2, 7.3)."""

from array import array
from typing import BinaryIO

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from node.dicom.spans import Unreadable, ValueSpan

_CHUNK = 1 << 20
_SHORT = 1 << 20
"""Bytes of a text up to which its padding is looked for on both sides."""

_SHOWN = 64
"""Bytes of a value that are shown."""

_PADDING = b" \0"

TEXT = frozenset(
    "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split()  # noqa: SIM905 - in one look
)
WIDTHS = {
    **dict.fromkeys(("US", "SS", "OW", "AT"), 2),
    **dict.fromkeys(("UL", "SL", "FL", "OF", "OL"), 4),
    **dict.fromkeys(("FD", "OD", "SV", "UV", "OV"), 8),
}
"""Bytes that change their order together (PS3.5 7.3)."""

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
_CODES = {2: "H", 4: "I", 8: "Q"}

Value = tuple[BinaryIO, ValueSpan]
"""A value, and the file that it is in."""


def vr_of(tag: int, *spans: ValueSpan) -> str | None:
    """Return the VR of an element: one that is written, else the standard's; None: nobody knows."""
    written = [span.vr for span in spans if span.vr not in {None, "UN"}]
    return written[0] if written else vr_known(tag)


def vr_known(tag: int) -> str | None:
    """Return the VR that the standard gives an element; None where it gives none."""
    if tag >> 16 & 1 or not dictionary_has_tag(tag):
        return None
    return dictionary_VR(tag)


def same_values(vr: str | None, one: Value, other: Value) -> bool:
    """Compare two values, each in its own byte order, and without the padding of text."""
    lengths = (one[1].length, other[1].length)
    if vr not in TEXT:
        return lengths[0] == lengths[1] and same_bytes(one, other, lengths[0], vr)
    if max(lengths) <= _SHORT:
        whole = [_read(file, span.offset, span.length) for file, span in (one, other)]
        return whole[0].rstrip(_PADDING) == whole[1].rstrip(_PADDING)
    common = min(lengths)
    if max(lengths) - common > 1 or not same_bytes(one, other, common):
        return False
    (file, span) = one if lengths[0] > common else other
    return span.length == common or _read(file, span.offset + common, 1) in {b" ", b"\0"}


def same_bytes(one: Value, other: Value, length: int, vr: str | None = None) -> bool:
    """Compare the first bytes of two values, in the order in which little endian has them.

    Parameters
    ----------
    vr
        Of the element, where one of both does not say it.
    """
    width, width_of_other = (_width(span, vr) for _, span in (one, other))
    if width == width_of_other:  # as they are
        width = width_of_other = 1
    (file, span), (other_file, other_span) = one, other
    for done in range(0, length, _CHUNK):
        size = min(_CHUNK, length - done)
        part = _read(file, span.offset + done, size)
        part_of_other = _read(other_file, other_span.offset + done, size)
        if _swapped(part, width) != _swapped(part_of_other, width_of_other):
            return False
    return True


def shown(vr: str | None, value: Value) -> str:
    """Return a value in short."""
    file, span = value
    if vr == "SQ" or span.undefined:
        return "a sequence" if vr == "SQ" else "fragments"
    data = _read(file, span.offset, min(span.length, _SHOWN))
    more = "..." if span.length > _SHOWN else ""
    if vr in TEXT:
        return data.rstrip(_PADDING).decode("utf-8", "replace") + more
    code = _NUMBERS.get(vr or "")
    data = _swapped(data, _width(span, vr))
    if code and span.length and not len(data) % array(code).itemsize:
        return "\\".join(f"{number:.9g}" for number in array(code, data)) + more
    return f"{span.length} bytes"


def _width(span: ValueSpan, vr: str | None) -> int:
    """Return how many bytes of a value are to change their order; 1 is none."""
    own = span.vr if span.vr not in {None, "UN"} else vr
    return WIDTHS.get(own or "", 1) if span.coding.big and span.vr != "UN" else 1


def _swapped(data: bytes, width: int) -> bytes:
    if width == 1 or len(data) % width:
        return data
    words = array(_CODES[width], data)
    words.byteswap()
    return words.tobytes()


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    read = file.read(size)
    if len(read) != size:
        raise Unreadable(f"it ends within the element at byte {offset}")
    return read
