"""What compressed frames say of themselves (ISO 10918-1, 14495-1, 15444-1).

A decoder that is told another size, or fewer bits, may return samples that nobody took for a
failure.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_SOI, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""The markers SOF0 to SOF15, and JPEG-LS's SOF55; those within that are tables are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """What one frame says.

    Attributes
    ----------
    rows
        0 where the codestream tells them at its end.
    precision
        The bits of a sample.
    """

    rows: int
    columns: int
    samples: int
    precision: int


def codestream_of(fragment: memoryview) -> Codestream | None:
    """Return what the frame that a fragment begins says of itself; None where it says nothing."""
    try:
        if bytes(fragment[:4]) == _JPEG_2000:
            right, bottom, left, top = struct.unpack_from(">4L", fragment, 8)
            samples, depth = struct.unpack_from(">HB", fragment, 40)
            return Codestream(
                rows=bottom - top,
                columns=right - left,
                samples=samples,
                precision=(depth & 0x7F) + 1,
            )
        return _of_jpeg(fragment) if bytes(fragment[:2]) == _SOI else None
    except struct.error:
        return None


def most_bits(fragments: Sequence[memoryview]) -> int:
    """Return the precision of the frame that has the greatest; 0 where none says it."""
    found = (codestream_of(fragment) for fragment in fragments)
    return max((one.precision for one in found if one is not None), default=0)


def _of_jpeg(stream: memoryview) -> Codestream | None:
    offset = 2
    while offset + 4 <= len(stream) and stream[offset] == 0xFF:
        marker = stream[offset + 1]
        if marker == 0xFF:  # a fill byte
            offset += 1
            continue
        (length,) = struct.unpack_from(">H", stream, offset + 2)
        if marker in _FRAMES:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", stream, offset + 4)
            return Codestream(rows=rows, columns=columns, samples=samples, precision=precision)
        offset += 2 + length
    return None
