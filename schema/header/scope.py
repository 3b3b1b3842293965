"""What an element's meaning depends on beside its own bytes: its dataset and the dictionaries.

In implicit VR, and for values marked as UN, the VR is what the dictionary says; for private
elements that depends on who created their block, for some others on the pixel
representation; and text depends on the character set. Items inherit the last two from the
dataset around them (PS3.5 section 7.5.3, PS3.3 section C.12.1.1.2).
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR, private_dictionary_VR

from schema.header.charset import DEFAULT_CHARSET, Charset, charset_of
from schema.header.vr import BIG_ENDIAN, LITTLE_ENDIAN, Representation

Attributes = dict[str, dict[str, Any]]
"""A dataset in the DICOM JSON Model (PS3.18 annex F)."""

_SPECIFIC_CHARACTER_SET = "00080005"
_PIXEL_REPRESENTATION = "00280103"
CONTEXT = frozenset((_SPECIFIC_CHARACTER_SET, _PIXEL_REPRESENTATION))
"""The attributes that change the meaning of those that follow."""

_AMBIGUOUS = frozenset(("US or SS", "US or OW", "US or SS or OW", "OB or OW"))
_NAMES = {True: LITTLE_ENDIAN, False: BIG_ENDIAN}
CODES = {
    little: {name.encode(): vr for name, vr in names.items()} for little, names in _NAMES.items()
}
"""The VRs by the two bytes that name them, for little endian (True) and big endian."""


@dataclass(slots=True, kw_only=True)
class Scope:
    """What the elements of one dataset or item have in common.

    `charset` and `signed` start as the surrounding dataset's (PS3.5 section 7.5.3) and
    change when the dataset has its own.
    """

    implicit: bool
    little: bool
    charset: Charset = DEFAULT_CHARSET
    signed: bool = False
    depth: int = 0
    attributes: Attributes = field(default_factory=dict)

    def child(self) -> "Scope":
        """Return the scope of an item of one of this dataset's sequences."""
        return self._with(implicit=self.implicit, little=self.little, depth=self.depth + 1)

    def of_unknown(self, *, implicit: bool) -> "Scope":
        """Return the scope of the value of a UN element: always little endian."""
        return self._with(implicit=implicit, little=True, depth=self.depth)

    def _with(self, *, implicit: bool, little: bool, depth: int) -> "Scope":
        return Scope(
            implicit=implicit,
            little=little,
            charset=self.charset,
            signed=self.signed,
            depth=depth,
        )

    def learn(self, key: str, values: list[Any]) -> None:
        """Take over what an element says about those that follow."""
        if key == _SPECIFIC_CHARACTER_SET:
            self.charset = charset_of([v if isinstance(v, str) else "" for v in values])
        elif key == _PIXEL_REPRESENTATION:
            self.signed = values[:1] == [1]


def known_vr(group: int, element: int, scope: Scope) -> Representation:
    """Return the VR that the dictionaries give an element of a dataset; UN if none does."""
    name = standard_vr(group << 16 | element)
    if name is None and group & 1:
        name = _private_vr(group, element, scope.attributes)
    elif name in _AMBIGUOUS:
        name = ("SS" if scope.signed else "US") if name == "US or SS" else "OW"
    representations = _NAMES[scope.little]
    return representations.get(name or "UN") or representations["UN"]


@lru_cache(maxsize=1 << 13)
def standard_vr(tag: int) -> str | None:
    """Return the VR of PS3.6, as it is written there; None where it has no such tag."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UL" if not tag & 0xFFFF else None


def _private_vr(group: int, element: int, attributes: Attributes) -> str | None:
    """Return the VR of a private element, by its block's creator (PS3.5 section 7.8.1)."""
    if element < 0x1000:
        return "LO" if 0x10 <= element <= 0xFF else None
    creators = attributes.get(f"{group:04X}{element >> 8:04X}", {}).get("Value")
    if not creators or not isinstance(creators[0], str):
        return None
    try:
        return private_dictionary_VR(group << 16 | element, creators[0])
    except KeyError:
        return None


def representation_of(name: str | None, key: str, scope: Scope) -> Representation:
    """Return the VR of that name, or what the dictionary says where it is not definite."""
    representation = _NAMES[scope.little].get(name or "")
    return representation or known_vr(int(key[:4], 16), int(key[4:], 16), scope)
