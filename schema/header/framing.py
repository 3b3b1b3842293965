"""The heads of elements, items and fragments: tag, VR and length, in every encoding.

PS3.5 section 7.1 describes elements, section 7.5 items and delimiters, section A.4 the
fragments of encapsulated data.
"""

from collections.abc import Callable
from struct import Struct

from schema.errors import InvalidDicom
from schema.header.scope import CODES, Scope, known_vr
from schema.header.vr import Representation
from schema.text.words import counted

UNDEFINED = 0xFFFFFFFF
"""The length of what ends with a delimiter."""

DELIMITERS = 0xFFFE
ITEM, ITEM_END, SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD

_EXPLICIT_HEADS = {True: Struct("<HH2sH").unpack_from, False: Struct(">HH2sH").unpack_from}
_LENGTHS = {True: Struct("<L").unpack_from, False: Struct(">L").unpack_from}
ITEM_HEADS = {True: Struct("<HHL").unpack_from, False: Struct(">HHL").unpack_from}
"""Unpacks group, element and length of an item, for little endian (True) and big endian."""

Head = tuple[int, int, Representation, int, int]
"""Group, element, VR, start of the value, length of the value."""


def read_head(window: bytes | memoryview, position: int, end: int, scope: Scope) -> Head:
    """Return the head of the element at a position, of which eight bytes must be there."""
    read = implicit_head if scope.implicit else explicit_head
    return read(window, position, end, scope)


def explicit_head(window: bytes | memoryview, position: int, end: int, scope: Scope) -> Head:
    """Return the head of an element in explicit VR (PS3.5 section 7.1.2)."""
    group, element, code, length = _EXPLICIT_HEADS[scope.little](window, position)
    representation = CODES[scope.little].get(code)
    if representation is None:
        return _odd_head(window, position, end, scope)
    if not representation.wide:
        return group, element, representation, position + 8, length
    if position + 12 > end:  # the value cannot be there either, and so is found missing
        return group, element, representation, position + 12, 4
    length = _LENGTHS[scope.little](window, position + 8)[0]
    return group, element, representation, position + 12, length


def implicit_head(window: bytes | memoryview, position: int, _: int, scope: Scope) -> Head:
    """Return the head of an element in implicit VR (PS3.5 section 7.1.3)."""
    group, element, length = ITEM_HEADS[scope.little](window, position)
    return group, element, known_vr(group, element, scope), position + 8, length


def _odd_head(window: bytes | memoryview, position: int, end: int, scope: Scope) -> Head:
    """Return the head where explicit VR was expected and the VR is none that exists.

    Two capital letters are a VR of the future: those have lengths of 32 bits (PS3.5 section
    6.2), but some writers give them 16. Anything else is an element in implicit VR.
    """
    group, element, code, length = _EXPLICIT_HEADS[scope.little](window, position)
    if not (code.isalpha() and code.isupper()):
        return implicit_head(window, position, end, scope)
    unknown = CODES[scope.little][b"UN"]
    follower = bytes(window[position + 12 : position + 14])  # its VR, if the value is empty
    if length == 0 and position + 12 <= end and follower not in CODES[True]:
        wide = _LENGTHS[scope.little](window, position + 8)[0]
        return group, element, unknown, position + 12, wide
    return group, element, unknown, position + 8, length


def fragments_end(
    peek: Callable[[int], bytes | memoryview], position: int, end: int, *, little: bool
) -> int:
    """Return the position behind encapsulated bulk data (PS3.5 section A.4).

    Parameters
    ----------
    peek
        Returns the eight bytes at a position.
    position, end
        Where the first fragment starts, and where the data ends.
    little
        The byte order.

    Raises
    ------
    InvalidDicom
        A fragment or the delimiter is not there.
    """
    head = ITEM_HEADS[little]
    while position + 8 <= end:
        group, element, length = head(peek(position))
        start = position + 8
        if group == DELIMITERS and element == SEQUENCE_END:
            return start
        is_fragment = group == DELIMITERS and element == ITEM
        if not is_fragment or start + length > end:
            why = (
                f"{counted(length, 'byte')} expected, {end - start} left"
                if is_fragment
                else "no fragment"
            )
            raise InvalidDicom(f"({group:04X},{element:04X}) at offset {position}: {why}")
        position = start + length
    raise InvalidDicom(f"the delimiter of encapsulated data at offset {position}: missing")
