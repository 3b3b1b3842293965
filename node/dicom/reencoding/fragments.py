"""The items that encapsulated Pixel Data is in, and what a table says of them (PS3.5 A.4)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = 8
"""The bytes of an item's tag and length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFragment:
    """One item.

    Attributes
    ----------
    offset
        Where it begins, from the first one behind the Basic Offset Table on.
    """

    offset: int
    data: memoryview


def fragments_of(value: memoryview) -> tuple[EncodedFragment, ...]:
    """Return the items of encapsulated Pixel Data, without the Basic Offset Table.

    Parameters
    ----------
    value
        Whole items, as reading the dataset has found them to be.
    """
    found: list[EncodedFragment] = []
    offset, start = 0, 0
    while offset < len(value):
        (length,) = struct.unpack_from("<L", value, offset + 4)
        after = offset + _HEAD + length
        if offset:
            found.append(EncodedFragment(offset=offset - start, data=value[offset + _HEAD : after]))
        else:
            start = after
        offset = after
    return tuple(found)


def why_not_the_table(
    fragments: Sequence[EncodedFragment],
    frames: int,
    offsets: memoryview,
    lengths: memoryview | None,
) -> str | None:
    """Return in what an Extended Offset Table contradicts the items (PS3.3 C.7.6.3.1.8).

    Each frame is one item. A length may be without the byte that makes it even.

    Parameters
    ----------
    offsets, lengths
        The values of (7FE0,0001) and (7FE0,0002): of 64 bits, little endian; None where there are
        no lengths.
    """
    if len(offsets) != 8 * frames:
        return (
            f"its Extended Offset Table has {len(offsets)} bytes, where {frames} frames have 8 each"
        )
    if len(fragments) != frames:
        return (
            f"it has an Extended Offset Table, and {len(fragments)} fragments, where each of "
            f"{frames} frames has to be one"
        )
    if lengths is not None and len(lengths) != len(offsets):
        return (
            f"its Extended Offset Table Lengths have {len(lengths)} bytes, where its Extended "
            f"Offset Table has {len(offsets)}"
        )
    for number, fragment in enumerate(fragments):
        (offset,) = struct.unpack_from("<Q", offsets, 8 * number)
        if offset != fragment.offset:
            return (
                f"its Extended Offset Table has frame {number + 1} at byte {offset}, where it "
                f"begins at {fragment.offset}"
            )
        if lengths is None:
            continue
        (length,) = struct.unpack_from("<Q", lengths, 8 * number)
        if length not in {len(fragment.data), len(fragment.data) - 1}:
            return (
                f"its Extended Offset Table Lengths say {length} of frame {number + 1}, which has "
                f"{len(fragment.data)} bytes"
            )
    return None
