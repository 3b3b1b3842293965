"""What a compressed frame says of its own size (ISO 10918-1, 14495-1, 15444-1).

A decoder that is told another size may return samples that nobody took for a failure.
"""

import struct
from dataclasses import dataclass

_SOI, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""The markers SOF0 to SOF15, and JPEG-LS's SOF55; those within that are tables are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSize:
    """Of one frame; no rows means that the codestream tells them at its end."""

    rows: int
    columns: int
    samples: int


def frame_size(fragments: memoryview) -> FrameSize | None:
    """Return the size of the first frame of encapsulated pixel data; None where it says none.

    Parameters
    ----------
    fragments
        The items, the Basic Offset Table first (PS3.5 A.4).
    """
    try:
        (offsets,) = struct.unpack_from("<L", fragments, 4)
        (length,) = struct.unpack_from("<L", fragments, offsets + 12)
        first = fragments[offsets + 16 : offsets + 16 + length]
        if bytes(first[:4]) == _JPEG_2000:
            right, bottom, left, top = struct.unpack_from(">4L", first, 8)
            (samples,) = struct.unpack_from(">H", first, 40)
            return FrameSize(rows=bottom - top, columns=right - left, samples=samples)
        return _of_jpeg(first) if bytes(first[:2]) == _SOI else None
    except struct.error:
        return None


def _of_jpeg(stream: memoryview) -> FrameSize | None:
    offset = 2
    while offset + 4 <= len(stream) and stream[offset] == 0xFF:
        marker = stream[offset + 1]
        if marker == 0xFF:  # a fill byte
            offset += 1
            continue
        (length,) = struct.unpack_from(">H", stream, offset + 2)
        if marker in _FRAMES:
            rows, columns, samples = struct.unpack_from(">HHB", stream, offset + 5)
            return FrameSize(rows=rows, columns=columns, samples=samples)
        offset += 2 + length
    return None
