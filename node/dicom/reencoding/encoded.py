"""Elements whose values are encoded (PS3.5 7.1)."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from node.dicom.spans import Coding

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
ENCAPSULATED_VRS = frozenset({"OB", "OW"})


def named(tag: int) -> str:
    """Return a tag as people write it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedElement:
    """An element whose value is encoded.

    Attributes
    ----------
    vr
        None where it is left out.
    value
        Without a delimiter at its end.
    coding
        Of the value.
    undefined
        Whether the value ends with a delimiter.
    items
        Of a sequence.
    """

    tag: int
    vr: str | None
    value: memoryview
    coding: Coding
    undefined: bool = False
    items: tuple["EncodedItem", ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedItem:
    """An item of a sequence, or a whole dataset: its elements, as they come."""

    elements: tuple[EncodedElement, ...]
    undefined: bool = False

    def values(self) -> dict[int, EncodedElement]:
        """Return the elements by their tags."""
        return {element.tag: element for element in self.elements}

    def replaced(self, by: Mapping[int, EncodedElement | None]) -> "EncodedItem":
        """Return it with other elements; None is one that is to be left out."""
        elements = [by.get(one.tag, one) for one in self.elements]
        kept = [one for one in elements if one is not None]
        there = {one.tag for one in kept}
        for tag, element in sorted(by.items()):
            if element is not None and tag not in there:
                kept.insert(bisect_right(kept, tag, key=lambda one: one.tag), element)
        return EncodedItem(elements=tuple(kept), undefined=self.undefined)
