"""The elements of an encoded dataset, down to the last sequence (PS3.5 7.1, 7.5)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, private_dictionary_VR

from node.dicom.encoded_values import WIDTHS
from node.dicom.reencoding.encoded import (
    ENCAPSULATED_VRS,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    EncodedElement,
    EncodedItem,
)
from node.dicom.spans import DEEPEST, LITTLE_IMPLICIT, LONG_VRS, Coding, Unreadable

_DELIMITERS = 0xFFFE


def parsed(dataset: bytes, coding: Coding) -> EncodedItem:
    """Return the elements of a dataset, down to the last sequence.

    Zeros behind its last element are no elements. An item within a dataset that has VRs may be
    without them: it is what some programs write.

    Raises
    ------
    Unreadable
        It makes no sense.
    """
    source = _Source(memoryview(dataset))
    elements: list[EncodedElement] = []
    offset, end, creators = 0, len(dataset), dict[int, str]()
    while offset < end:
        if dataset[offset] == 0 and not any(source.data[offset:end]):
            break
        element, offset = source.element(offset, end, coding, 0, creators)
        elements.append(element)
    return EncodedItem(elements=tuple(elements))


@dataclass(frozen=True, slots=True)
class _Source:
    data: memoryview

    def element(
        self, offset: int, end: int, coding: Coding, depth: int, creators: dict[int, str]
    ) -> tuple[EncodedElement, int]:
        """Return an element, and where the next one begins.

        Parameters
        ----------
        creators
            Of the private blocks of this level, by group and block: those that come are added.
        """
        tag, vr, length, start = self._head(offset, end, coding)
        if tag >> 16 == _DELIMITERS:
            raise Unreadable(f"there is a delimiter in place of an element at byte {offset}")
        known = vr or _known_vr(tag, creators)
        if length == UNDEFINED:
            return self._undefined(tag, vr, start, end, coding, depth=depth)
        if length > end - start:
            raise Unreadable(f"the element at byte {offset} is longer than what it is in")
        value = self.data[start : start + length]
        if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
            creators[tag] = bytes(value).rstrip(b" \0").decode("latin-1")
        items = None
        if known == "SQ" and (vr or self._has_items(value)):
            items, _ = self.items(start, start + length, coding, depth + 1, delimited=False)
        if items is None and not vr:
            vr = known if known != "SQ" and _fits(known, length) else "UN"
        elif not vr:
            vr = "SQ"
        return EncodedElement(
            tag=tag, vr=vr, value=value, coding=coding, items=items
        ), start + length

    def _undefined(
        self, tag: int, vr: str | None, start: int, end: int, coding: Coding, *, depth: int
    ) -> tuple[EncodedElement, int]:
        """Return an element that ends with a delimiter: a sequence, or fragments."""
        inner = LITTLE_IMPLICIT if vr == "UN" else coding
        if vr in ENCAPSULATED_VRS:
            items, after = None, self._fragments_end(start, end, coding)
        else:
            items, after = self.items(start, end, inner, depth + 1, delimited=True)
        value = self.data[start : after - 8]
        if vr == "UN":  # its content stays what it is, whatever is around it (PS3.5 6.2.2, note 2)
            items = None
        element = EncodedElement(
            tag=tag, vr=vr or "SQ", value=value, coding=inner, undefined=True, items=items
        )
        return element, after

    def items(
        self, offset: int, end: int, coding: Coding, depth: int, *, delimited: bool
    ) -> tuple[tuple[EncodedItem, ...], int]:
        """Return the items of a sequence, and where what follows it begins."""
        if depth > DEEPEST:
            raise Unreadable(f"sequences are nested more than {DEEPEST} times")
        found: list[EncodedItem] = []
        while delimited or offset < end:
            tag, length = self._delimiter(offset, end, coding)
            offset += 8
            if tag == SEQUENCE_END:
                if delimited:
                    break
                continue  # one that is not needed: some programs write it nevertheless
            if tag != ITEM:
                raise Unreadable(f"there is no item at byte {offset - 8}")
            item, offset = self._item(offset, length, end, coding, depth)
            found.append(item)
        return tuple(found), offset

    def _item(
        self, offset: int, length: int, end: int, coding: Coding, depth: int
    ) -> tuple[EncodedItem, int]:
        undefined = length == UNDEFINED
        if not undefined:
            if length > end - offset:
                raise Unreadable(f"the item at byte {offset - 8} is longer than what it is in")
            end = offset + length
        if not coding.implicit and not coding.big and self._without_vrs(offset, end):
            coding = LITTLE_IMPLICIT
        elements: list[EncodedElement] = []
        creators: dict[int, str] = {}
        while undefined or offset < end:
            if undefined and self._delimiter(offset, end, coding)[0] == ITEM_END:
                offset += 8
                break
            element, offset = self.element(offset, end, coding, depth, creators)
            elements.append(element)
        return EncodedItem(elements=tuple(elements), undefined=undefined), offset

    def _without_vrs(self, offset: int, end: int) -> bool:
        vr = bytes(self.data[offset + 4 : offset + 6])
        return (
            end - offset >= 8
            and bytes(self.data[offset : offset + 2]) != b"\xfe\xff"
            and not (vr.isalpha() and vr.isupper())
        )

    def _fragments_end(self, offset: int, end: int, coding: Coding) -> int:
        """Return where what follows encapsulated pixel data begins (PS3.5 A.4)."""
        while True:
            tag, length = self._delimiter(offset, end, coding)
            if tag == SEQUENCE_END:
                return offset + 8
            if tag != ITEM or length > end - offset - 8:
                raise Unreadable(f"there is no fragment of pixel data at byte {offset}")
            offset += 8 + length

    def _has_items(self, value: memoryview) -> bool:
        return not value or bytes(value[:4]) in {b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"}

    def _head(self, offset: int, end: int, coding: Coding) -> tuple[int, str | None, int, int]:
        """Return tag, VR and length of an element, and where its value begins."""
        order = ">" if coding.big else "<"
        tag, length = self._delimiter(offset, end, coding)
        if coding.implicit:
            return tag, None, length, offset + 8
        vr = bytes(self.data[offset + 4 : offset + 6])
        if not (vr.isalpha() and vr.isupper()):
            raise Unreadable(f"the element at byte {offset} has no VR")
        if vr not in LONG_VRS:
            (length,) = struct.unpack_from(f"{order}H", self.data, offset + 6)
            return tag, vr.decode(), length, offset + 8
        if offset + 12 > end:
            raise Unreadable(f"it ends within the element at byte {offset}")
        (length,) = struct.unpack_from(f"{order}L", self.data, offset + 8)
        return tag, vr.decode(), length, offset + 12

    def _delimiter(self, offset: int, end: int, coding: Coding) -> tuple[int, int]:
        if offset + 8 > end:
            raise Unreadable(f"it ends within the element at byte {offset}")
        order = ">" if coding.big else "<"
        group, element, length = struct.unpack_from(f"{order}HHL", self.data, offset)
        return group << 16 | element, length


def _known_vr(tag: int, creators: Mapping[int, str]) -> str:
    """Return the VR of an element whose VR is left out; it may be one of several."""
    element = tag & 0xFFFF
    if not element:
        return "UL"
    try:
        if not tag >> 16 & 1:
            return dictionary_VR(tag)  # of repeating groups too (PS3.5 7.6)
        if 0x10 <= element <= 0xFF:
            return "LO"
        return private_dictionary_VR(tag, creators[tag & 0xFFFF0000 | element >> 8])
    except KeyError:
        return "UN"


def _fits(vr: str, length: int) -> bool:
    """Whether a value can be of a VR."""
    return " or " in vr or not length % WIDTHS.get(vr, 1)
