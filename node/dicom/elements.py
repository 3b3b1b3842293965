"""Where the elements of an encoded dataset are, without decoding any of them (PS3.5 7.1, 7.5).

Decoding costs some 25 µs an element, and a peer says how many there are; this costs one. It
follows what can be followed: a decoder has the last word on what is a dataset.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNDEFINED = 0xFFFFFFFF
_DELIMITERS = 0xFFFE
_ITEM = (_DELIMITERS, 0xE000)


@dataclass(frozen=True, slots=True)
class Element:
    """An element, or an item of a sequence.

    Attributes
    ----------
    tag
        Group and element number; an item's is (FFFE,E000).
    depth
        How many sequences and items it is in.
    offset, length
        Where its value begins, and its bytes; a value that ends with a delimiter has None.
    """

    tag: tuple[int, int]
    depth: int
    offset: int
    length: int | None


def elements(encoded: bytes, transfer_syntax_uid: str) -> Iterator[Element]:
    """Yield each element of a dataset, and then those within it, until one makes no sense.

    Parameters
    ----------
    transfer_syntax_uid
        Any but a deflated one.
    """
    order = ">" if transfer_syntax_uid == ExplicitVRBigEndian else "<"
    tags, longs = struct.Struct(f"{order}HH"), struct.Struct(f"{order}L")
    item = tags.pack(*_ITEM)
    end = len(encoded)
    # Where each sequence and item ends that we are in, and whether its VRs are left out.
    within: list[tuple[int | None, bool]] = [
        (end, transfer_syntax_uid == ImplicitVRLittleEndian),
    ]
    offset = 0
    while offset + 8 <= end:
        while (stop := within[-1][0]) is not None and offset >= stop:
            within.pop()
        implicit = within[-1][1]
        tag = tags.unpack_from(encoded, offset)
        delimiter = tag[0] == _DELIMITERS
        vr = b"" if implicit or delimiter else encoded[offset + 4 : offset + 6]
        if vr and vr not in _LONG_VRS:
            length = int.from_bytes(
                encoded[offset + 6 : offset + 8], "big" if order == ">" else "little"
            )
            offset += 8
        else:
            header = 12 if vr else 8
            if offset + header > end:
                return
            (length,) = longs.unpack_from(encoded, offset + header - 4)
            offset += header
        if delimiter and tag != _ITEM:
            if len(within) > 1:
                within.pop()
            continue
        undefined = length == _UNDEFINED
        if not undefined and length > end - offset:
            return
        yield Element(tag, len(within) - 1, offset, None if undefined else length)
        if undefined or tag == _ITEM or vr == b"SQ" or encoded.startswith(item, offset):
            inner = implicit or (undefined and vr == b"UN")  # PS3.5 6.2.2, note 2
            within.append((None if undefined else offset + length, inner))
        else:
            offset += length
