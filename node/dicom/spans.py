"""Where the elements of an encoded dataset lie in a file, level by level (PS3.5 7.1, 7.5, A.4).

Values are not read, but for the lengths of what ends with a delimiter: so a dataset of any size
takes as much memory as one of its levels has elements.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

PIXEL_DATA = 0x7FE00010

LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DEEPEST = 64
"""Levels of sequences that are followed; real objects have a handful."""


class Unreadable(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """What lies there is no dataset to its end; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How elements are encoded: with VRs or without (`implicit`), and in which byte order."""

    implicit: bool = False
    big: bool = False


LITTLE_IMPLICIT = Coding(implicit=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSpan:
    """The value of an element.

    Attributes
    ----------
    vr
        As it is written; None where VRs are left out.
    offset, length
        Where it begins, and its bytes, without a delimiter at its end.
    undefined
        Whether it ends with a delimiter: a sequence, or encapsulated pixel data.
    coding
        Of the element itself.
    """

    vr: str | None
    offset: int
    length: int
    undefined: bool
    coding: Coding

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.offset + self.length

    @property
    def inner(self) -> Coding:
        """How the items of it are encoded, if it is a sequence (PS3.5 6.2.2, note 2)."""
        return LITTLE_IMPLICIT if self.vr == "UN" else self.coding


def elements_between(file: BinaryIO, start: int, end: int, coding: Coding) -> dict[int, ValueSpan]:
    """Return the elements of a dataset or of an item, by their tags, as they come.

    Parameters
    ----------
    start, end
        Its first byte, and the one behind its last, without a delimiter.

    Raises
    ------
    Unreadable
        It makes no sense, or has an element twice.
    """
    found: dict[int, ValueSpan] = {}
    offset = start
    while offset < end:
        tag, span, offset = _element_at(file, offset, end, coding, 0)
        if tag in found:
            raise Unreadable(f"the element ({tag >> 16:04X},{tag & 0xFFFF:04X}) is there twice")
        found[tag] = span
    return found


def items_of(file: BinaryIO, span: ValueSpan) -> list[tuple[int, int]]:
    """Return where the items of a sequence begin and end, or the fragments of pixel data.

    Raises
    ------
    Unreadable
        They make no sense.
    """
    items: list[tuple[int, int]] = []
    offset, coding = span.offset, span.inner
    while offset < span.end:
        tag, length, offset = _item_head(file, offset, span.end, coding)
        if tag != _ITEM:
            raise Unreadable(f"there is no item at byte {offset - 8}")
        end, after = _item_end(file, offset, length, span.end, coding, depth=0)
        items.append((offset, end))
        offset = after
    return items


def _element_at(
    file: BinaryIO, offset: int, end: int, coding: Coding, depth: int
) -> tuple[int, ValueSpan, int]:
    """Return the tag of an element, where its value lies, and where the next one begins."""
    tag, vr, length, value = _head(file, offset, end, coding)
    if length != _UNDEFINED:
        if length > end - value:
            raise Unreadable(f"the element at byte {offset} is longer than what it is in")
        span = ValueSpan(vr=vr, offset=value, length=length, undefined=False, coding=coding)
        return tag, span, value + length
    inner = LITTLE_IMPLICIT if vr == "UN" else coding
    last, after = _items_end(file, value, end, inner, depth + 1)
    span = ValueSpan(vr=vr, offset=value, length=last - value, undefined=True, coding=coding)
    return tag, span, after


def _head(
    file: BinaryIO, offset: int, end: int, coding: Coding
) -> tuple[int, str | None, int, int]:
    """Return tag, VR and length of an element, and where its value begins."""
    head = _read(file, offset, 8, end)
    order = ">" if coding.big else "<"
    group, element = struct.unpack_from(f"{order}HH", head)
    tag = group << 16 | element
    if coding.implicit:
        return tag, None, struct.unpack_from("<L", head, 4)[0], offset + 8
    vr = head[4:6]
    if not (vr.isalpha() and vr.isupper()):
        raise Unreadable(f"the element at byte {offset} has no VR")
    if vr in LONG_VRS:
        (length,) = struct.unpack(f"{order}L", _read(file, offset + 8, 4, end))
        return tag, vr.decode(), length, offset + 12
    return tag, vr.decode(), struct.unpack_from(f"{order}H", head, 6)[0], offset + 8


def _items_end(
    file: BinaryIO, offset: int, end: int, coding: Coding, depth: int
) -> tuple[int, int]:
    """Return where the items end that a delimiter ends, and what follows it begins."""
    if depth > DEEPEST:
        raise Unreadable(f"sequences are nested more than {DEEPEST} times")
    while True:
        before = offset
        tag, length, offset = _item_head(file, offset, end, coding)
        if tag == _SEQUENCE_END:
            return before, offset
        if tag != _ITEM:
            raise Unreadable(f"there is no item at byte {before}")
        _, offset = _item_end(file, offset, length, end, coding, depth=depth)


def _item_end(
    file: BinaryIO, offset: int, length: int, end: int, coding: Coding, *, depth: int
) -> tuple[int, int]:
    """Return where an item's content ends, and where the next item begins."""
    if length != _UNDEFINED:
        if length > end - offset:
            raise Unreadable(f"the item at byte {offset - 8} is longer than what it is in")
        return offset + length, offset + length
    while True:
        tag, _, after = _item_head(file, offset, end, coding)
        if tag == _ITEM_END:
            return offset, after
        _, _, offset = _element_at(file, offset, end, coding, depth)


def _item_head(file: BinaryIO, offset: int, end: int, coding: Coding) -> tuple[int, int, int]:
    order = ">" if coding.big else "<"
    group, element, length = struct.unpack(f"{order}HHL", _read(file, offset, 8, end))
    return group << 16 | element, length, offset + 8


def _read(file: BinaryIO, offset: int, size: int, end: int) -> bytes:
    if offset + size > end:
        raise Unreadable(f"it ends within the element at byte {offset}")
    file.seek(offset)
    read = file.read(size)
    if len(read) != size:
        raise Unreadable(f"it ends within the element at byte {offset}")
    return read
