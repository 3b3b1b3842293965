"""Elements as they are written in little endian encodings, with VRs or without (PS3.5 A.1, A.2)."""

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from node.dicom.encoded_values import TEXT, WIDTHS
from node.dicom.reencoding.encoded import (
    ENCAPSULATED_VRS,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    EncodedElement,
    EncodedItem,
    named,
)
from node.dicom.spans import LONG_VRS, Unreadable

_CODES = {2: "H", 4: "I", 8: "Q"}
_LONGEST_SHORT = 0xFFFE
"""Bytes of a value whose length has 16 bits; it is even."""

_LENGTH_TO_END = 0x00080001
_PIXEL_REPRESENTATION = 0x00280103
_LUT_DESCRIPTOR = 0x00283002
_LUT_DATA = 0x00283006


def written(dataset: EncodedItem, *, implicit: bool) -> bytes:
    """Return a dataset in a little endian encoding, with VRs or without.

    Group lengths and Length to End (0008,0001) are left out: they count bytes of the encoding that
    it had. What no dictionary knows gets the VR UN.

    Raises
    ------
    Unreadable
        A number lacks some of its bytes, or there is something compressed, such as an icon.
    """
    return b"".join(_Target(implicit=implicit).dataset(dataset))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    implicit: bool
    around: list[dict[int, EncodedElement]] = field(default_factory=list)
    """The levels that are being written, the outermost first."""

    def dataset(self, item: EncodedItem) -> list[bytes | memoryview]:
        """Return what an item or a dataset is made of."""
        self.around.append(item.values())
        parts: list[bytes | memoryview] = []
        for element in item.elements:
            if element.tag == _LENGTH_TO_END or not element.tag & 0xFFFF:
                continue
            parts += self._element(element)
        self.around.pop()
        return parts

    def _element(self, element: EncodedElement) -> Iterator[bytes | memoryview]:
        vr = self._vr(element)
        end = _delimiter(SEQUENCE_END) if element.undefined else b""
        if element.items is not None:
            content = [part for item in element.items for part in self._item(item)]
        elif element.undefined and vr in ENCAPSULATED_VRS:  # nobody could tell what it is any more
            where = " within a sequence" if len(self.around) > 1 else ""
            raise Unreadable(f"{named(element.tag)}{where} is compressed")
        else:
            content = [_in_little_endian(element, vr), *_padding(element, vr)]
        size = sum(map(len, content))
        yield self._head(element.tag, vr, UNDEFINED if element.undefined else size)
        yield from content
        yield end

    def _item(self, item: EncodedItem) -> Iterator[bytes | memoryview]:
        content = self.dataset(item)
        size = sum(map(len, content))
        yield _delimiter(ITEM, UNDEFINED if item.undefined else size)
        yield from content
        if item.undefined:
            yield _delimiter(ITEM_END)

    def _head(self, tag: int, vr: str, length: int) -> bytes:
        if self.implicit:
            return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)
        encoded = vr.encode()
        if encoded not in LONG_VRS:
            if length <= _LONGEST_SHORT:
                return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, encoded, length)
            encoded = b"UN"  # PS3.5 6.2.2, note 1
        return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, encoded, 0, length)

    def _vr(self, element: EncodedElement) -> str:
        """Return the VR of an element; of those that the standard leaves open, one (PS3.5 A.1)."""
        vr = element.vr or "UN"
        if " or " not in vr:
            return vr
        if vr == "US or SS":
            signed = self._number(_PIXEL_REPRESENTATION, everywhere=True) == 1
            return "SS" if signed else "US"
        one_entry = element.tag == _LUT_DATA and self._number(_LUT_DESCRIPTOR) == 1
        return "US" if one_entry else "OW"

    def _number(self, tag: int, *, everywhere: bool = False) -> int | None:
        """Return the first number of an element of this level, or of the nearest around it."""
        for level in reversed(self.around if everywhere else self.around[-1:]):
            if (element := level.get(tag)) is not None and len(element.value) >= 2:
                order: Literal["big", "little"] = "big" if element.coding.big else "little"
                return int.from_bytes(element.value[:2], order)
        return None


def _in_little_endian(element: EncodedElement, vr: str) -> bytes | memoryview:
    width = WIDTHS.get(vr, 1) if element.coding.big else 1
    if width == 1 or not element.value:
        return element.value
    if len(element.value) % width:
        raise Unreadable(
            f"{named(element.tag)} has {len(element.value)} bytes, where each {vr} has {width}"
        )
    numbers = array(_CODES[width], bytes(element.value))
    numbers.byteswap()
    return numbers.tobytes()


def _padding(element: EncodedElement, vr: str) -> list[bytes]:
    if not len(element.value) % 2:
        return []
    return [b" " if vr in TEXT and vr != "UI" else b"\0"]


def _delimiter(tag: int, length: int = 0) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)
