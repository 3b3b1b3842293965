"""Encoding DICOM elements by hand, wrong ones included (PS3.5 chapter 7)."""

import struct

WIDE = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


def element(
    tag: int,
    vr: str,
    value: bytes = b"",
    *,
    syntax: str = EXPLICIT,
    length: int | None = None,
) -> bytes:
    """Return one encoded element; `length` is written instead of the real one."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    size = len(value) if length is None else length
    if syntax == IMPLICIT:
        return head + struct.pack("<L", size) + value
    if vr in WIDE:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}L", size) + value
    return head + vr.encode() + struct.pack(f"{order}H", size) + value


def delimiter(tag: int, length: int = 0, *, syntax: str = EXPLICIT) -> bytes:
    """Return an item's head or a delimiter."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    return struct.pack(f"{order}HHL", tag >> 16, tag & 0xFFFF, length)


def item(*elements: bytes, syntax: str = EXPLICIT, undefined: bool = False) -> bytes:
    """Return an item with its elements."""
    content = b"".join(elements)
    if not undefined:
        return delimiter(ITEM, len(content), syntax=syntax) + content
    end = delimiter(ITEM_END, syntax=syntax)
    return delimiter(ITEM, UNDEFINED, syntax=syntax) + content + end


def sequence(
    tag: int, *items: bytes, vr: str = "SQ", syntax: str = EXPLICIT, undefined: bool = False
) -> bytes:
    """Return a sequence with its items."""
    content = b"".join(items)
    if not undefined:
        return element(tag, vr, content, syntax=syntax)
    end = delimiter(SEQUENCE_END, syntax=syntax)
    return element(tag, vr, content + end, syntax=syntax, length=UNDEFINED)


def nested(depth: int, *, undefined: bool = True, syntax: str = EXPLICIT) -> bytes:
    """Return a sequence that holds an item that holds a sequence, and so on."""
    data = element(0x00080100, "SH", b"CODE", syntax=syntax)
    if undefined:  # the same for each depth: they are many where the depth is not limited
        around = sequence(
            0x00081140, item(undefined=True, syntax=syntax), undefined=True, syntax=syntax
        )
        ends = 2 * len(delimiter(ITEM_END))
        return around[:-ends] * depth + data + around[-ends:] * depth
    for _ in range(depth):
        inner = item(data, syntax=syntax)
        data = sequence(0x00081140, inner, syntax=syntax)
    return data


def file(dataset: bytes, syntax: str = EXPLICIT) -> bytes:
    """Return a dataset behind preamble and File Meta (PS3.10 chapter 7)."""
    uid = syntax.encode()
    meta = element(0x00020010, "UI", uid + b"\0" * (len(uid) % 2))
    length = element(0x00020000, "UL", struct.pack("<L", len(meta)))
    return b"\0" * 128 + b"DICM" + length + meta + dataset
