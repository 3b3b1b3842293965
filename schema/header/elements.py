"""Reading the elements of an encoded dataset straight into the DICOM JSON Model.

The reader goes over the bytes once and builds the JSON object of each element from its
value field, without building the objects of a DICOM library in between. It follows PS3.5
chapter 7 (elements, sequences, undefined lengths) and section 6.2.2 (UN), and forgives
what writers in the field get wrong where the meaning stays clear: items in implicit VR
inside of explicit VR, VRs that do not exist, delimiters where none belong.

Values never make it fail; structure does. Where an element does not fit into what holds
it, everything behind it is guesswork, so the dataset is refused, with the tag and the
offset at which reading stopped.
"""

from typing import Any

from schema.errors import InvalidDicom
from schema.header.bulk import MAX_INLINE, MAX_VALUE, binary_attribute, little_endian
from schema.header.framing import (
    DELIMITERS,
    ITEM,
    ITEM_END,
    ITEM_HEADS,
    SEQUENCE_END,
    UNDEFINED,
    explicit_head,
    fragments_end,
    implicit_head,
)
from schema.header.scope import CODES, CONTEXT, Attributes, Scope, known_vr
from schema.header.vr import BINARY_WORD, LITTLE_ENDIAN, Representation
from schema.text.words import counted

MAX_DEPTH = 64
"""How deep sequences may be nested. The standard has no limit; real headers stay below 10."""

MAX_ELEMENTS = 2_000_000
"""How many elements and items one dataset may have in all, to its deepest sequence.

Each takes a worker two or three microseconds, and a deflated one next to no bytes. Enhanced
multi-frame objects have some hundred thousand, those of twenty thousand frames more than a million.
"""

_LUT_DESCRIPTORS = frozenset(("00281101", "00281102", "00281103", "00283002"))
_PIXEL_GROUP = 0x7FE0
_NO_DATASET = (0x0000, 0x0002)
_PIXEL_ELEMENTS = frozenset((0x0008, 0x0009, 0x0010))
_UNUSUAL = frozenset((0x0000, _PIXEL_GROUP, DELIMITERS))


class MoreNeeded(Exception):  # noqa: N818 - not an error: the window ended before the header
    """The header goes on behind the bytes that the reader was given."""


class ElementReader:
    """Reads datasets from a window of bytes.

    Parameters
    ----------
    window
        The bytes; a memoryview is not copied beyond the values that are kept.
    complete
        False when more bytes follow those of the window.
    """

    __slots__ = ("_complete", "_left", "_window")

    def __init__(self, window: bytes | memoryview, *, complete: bool) -> None:
        self._window = window
        self._complete = complete
        self._left = MAX_ELEMENTS

    def read(self, position: int, scope: Scope) -> tuple[Attributes, int]:
        """Return the dataset at a position, without its pixel data and what follows that.

        Returns
        -------
        The attributes, and the position of the pixel data or of the end.

        Raises
        ------
        InvalidDicom
            The structure is broken; says where.
        MoreNeeded
            The window is not complete and ended first.
        """
        return self._dataset(position, len(self._window), scope, delimited=False)

    def attribute(self, key: str, vr: Representation, scope: Scope) -> dict[str, Any]:
        """Return the attribute whose value field is the whole window."""
        end = len(self._window)
        if vr.convert is None or end > MAX_VALUE:
            return self._unusual(key, vr.name, 0, end, end=end, scope=scope)[0]
        raw = bytes(self._window)
        values = vr.convert(raw, scope.charset)
        if values is None:
            return binary_attribute(key, "UN", raw)
        return {"vr": vr.name, "Value": values} if values else {"vr": vr.name}

    def checked_end(self, position: int, start: int, length: int) -> int:
        """Return the end of a value; raise when it is behind the end of the window."""
        end = len(self._window)
        if start + length > end:
            raise self._beyond(position, "an element of the File Meta", length, start, end)
        return start + length

    def _dataset(
        self, position: int, end: int, scope: Scope, *, delimited: bool
    ) -> tuple[Attributes, int]:
        window, attributes, charset = self._window, scope.attributes, scope.charset
        read_head = implicit_head if scope.implicit else explicit_head
        while position + 8 <= end:
            group, element, (name, _, convert), start, length = read_head(
                window, position, end, scope
            )
            if group in _UNUSUAL and self._is_over(position, group, element, scope):
                position += 8 if group == DELIMITERS else 0
                break
            self._left -= 1
            if self._left < 0:
                raise _too_many(position)
            key = f"{group:04X}{element:04X}"
            stop = start + length
            if convert is None or length > MAX_VALUE or stop > end:
                attribute, stop = self._unusual(key, name, start, length, end=end, scope=scope)
            elif length == 0:
                attribute = {"vr": name}
            else:
                raw = bytes(window[start:stop])
                values = convert(raw, charset)
                if values:
                    attribute = {"vr": name, "Value": values}
                    if key in CONTEXT:
                        scope.learn(key, values)
                        charset = scope.charset
                else:
                    attribute = (
                        {"vr": name} if values is not None else binary_attribute(key, "UN", raw)
                    )
            position = stop
            if element and group not in _NO_DATASET:
                attributes[key] = attribute
        else:
            self._check_end(position, end, delimited=delimited)
        return ordered(attributes), position

    def _is_over(self, position: int, group: int, element: int, scope: Scope) -> bool:
        """Tell whether the dataset ends before this element."""
        if group == DELIMITERS:
            if scope.depth and element == ITEM_END:
                return True
            raise InvalidDicom(
                f"({group:04X},{element:04X}) at offset {position}: not in a sequence"
            )
        if scope.depth:
            return False
        if group == _PIXEL_GROUP:
            return element in _PIXEL_ELEMENTS
        # writers that pad files to whole blocks leave zeros behind the dataset
        return not (group or element) and not any(self._window[position : position + 8])

    def _check_end(self, position: int, end: int, *, delimited: bool) -> None:
        """Raise unless a dataset may end where it does."""
        whole = position == end or not any(self._window[position:end])
        if whole and not delimited and (self._complete or end < len(self._window)):
            return
        what = "the delimiter of an item" if delimited else "an element"
        raise self._beyond(position, what, 8, position, end)

    def _beyond(self, position: int, what: str, length: int, start: int, end: int) -> Exception:
        """Return the exception for something that starts and is longer than what holds it."""
        if end >= len(self._window) and not self._complete:
            return MoreNeeded()
        found = max(end - start, 0)
        return InvalidDicom(
            f"{what} at offset {position}: {counted(length, 'byte')} expected, {found} left"
        )

    def _unusual(
        self, key: str, name: str, start: int, length: int, *, end: int, scope: Scope
    ) -> tuple[dict[str, Any], int]:
        """Return the attribute of an element that is no short plain value, and its end."""
        tag = f"({key[:4]},{key[4:]})"
        if length == UNDEFINED:
            return self._undefined(key, name, start, end, scope)
        stop = start + length
        if stop > end:
            raise self._beyond(start, tag, length, start, end)
        if name == "SQ":
            items, _ = self._sequence(start, stop, scope, bounded=True)
            return {"vr": name, "Value": items} if items else {"vr": name}, stop
        if name == "UN":
            return self._resolved(key, start, stop, scope), stop
        if name not in BINARY_WORD or length > MAX_INLINE:
            return {"vr": name}, stop
        raw = bytes(self._window[start:stop])
        return binary_attribute(key, name, raw if scope.little else little_endian(name, raw)), stop

    def _undefined(
        self, key: str, name: str, start: int, end: int, scope: Scope
    ) -> tuple[dict[str, Any], int]:
        """Return the attribute of an element of undefined length (PS3.5 section 7.5)."""
        if name == "SQ":
            items, stop = self._sequence(start, end, scope, bounded=False)
        elif name == "UN":  # a sequence in implicit VR (PS3.5 section 6.2.2)
            foreign = scope.of_unknown(implicit=not self._is_explicit(start, end))
            items, stop = self._sequence(start, end, foreign, bounded=False)
        elif name in BINARY_WORD:
            return {"vr": name}, self._skip_fragments(start, end, little=scope.little)
        else:
            tag = f"({key[:4]},{key[4:]})"
            raise InvalidDicom(f"{tag} at offset {start}: undefined length with VR {name}")
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}, stop

    def _sequence(
        self, position: int, end: int, scope: Scope, *, bounded: bool
    ) -> tuple[list[Attributes], int]:
        """Return the items of a sequence (PS3.5 section 7.5.1) and the position behind it."""
        if scope.depth >= MAX_DEPTH:
            raise InvalidDicom(f"sequences nested deeper than {MAX_DEPTH} at offset {position}")
        head = ITEM_HEADS[scope.little]
        items: list[Attributes] = []
        while position + 8 <= end:
            group, element, length = head(self._window, position)
            position += 8
            if group != DELIMITERS or element not in (ITEM, ITEM_END, SEQUENCE_END):
                found = f"({group:04X},{element:04X}) at offset {position - 8}"
                raise InvalidDicom(f"{found}: an item was expected")
            if element == SEQUENCE_END:
                return items, end if bounded else position
            if element == ITEM_END:  # left behind an item of defined length
                continue
            self._left -= 1
            if self._left < 0:
                raise _too_many(position - 8)
            if length == 0:
                items.append({})
                continue
            child = scope.child()
            if length == UNDEFINED:
                item, position = self._dataset(position, end, child, delimited=True)
            else:
                stop = position + length
                if stop > end:
                    raise self._beyond(position - 8, "(FFFE,E000)", length, position, end)
                item, _ = self._dataset(position, stop, child, delimited=False)
                position = stop
            items.append(item)
        if bounded and position == end:
            return items, end
        raise self._beyond(position, "the delimiter of a sequence", 8, position, end)

    def _skip_fragments(self, position: int, end: int, *, little: bool) -> int:
        try:
            return fragments_end(lambda at: self._window[at : at + 8], position, end, little=little)
        except InvalidDicom:
            if self._complete:
                raise
            raise MoreNeeded from None

    def _resolved(self, key: str, start: int, stop: int, scope: Scope) -> dict[str, Any]:
        """Return the attribute of a UN whose VR the dictionary may know (PS3.5 6.2.2).

        The value is in little endian and implicit VR whatever the dataset is. One that
        does not fit the dictionary's VR stays UN.
        """
        known = known_vr(int(key[:4], 16), int(key[4:], 16), scope)
        name = known.name
        if name == "SQ":
            try:
                foreign = scope.of_unknown(implicit=not self._is_explicit(start, stop))
                items, _ = self._sequence(start, stop, foreign, bounded=True)
            except InvalidDicom:
                if self._left < 0:
                    raise
                name = "UN"
            else:
                return {"vr": name, "Value": items} if items else {"vr": name}
        if stop - start > (MAX_VALUE if known.convert else MAX_INLINE):
            return {"vr": name}
        raw = bytes(self._window[start:stop])
        if name in BINARY_WORD:
            return binary_attribute(key, name, raw)
        convert = LITTLE_ENDIAN[name].convert
        values = None if convert is None else convert(raw, scope.charset)
        if values is None:
            return binary_attribute(key, "UN", raw)
        return {"vr": name, "Value": values} if values else {"vr": name}

    def _is_explicit(self, position: int, end: int) -> bool:
        """Tell whether the first element of the first item of a UN sequence names a VR."""
        return bytes(self._window[position + 12 : min(position + 14, end)]) in CODES[True]


def _too_many(position: int) -> InvalidDicom:
    return InvalidDicom(
        f"more than {MAX_ELEMENTS:,} elements and items: stopped at offset {position}"
    )


def ordered(attributes: Attributes) -> Attributes:
    """Return the attributes in the order of their tags (PS3.18 section F.2.2)."""
    for key in _LUT_DESCRIPTORS & attributes.keys():
        attribute = attributes[key]
        values = attribute.get("Value")
        if values and attribute["vr"] == "SS" and values[0] < 0:
            values[0] += 1 << 16  # the number of entries is unsigned (PS3.3 C.11.1.1.1)
    keys = list(attributes)
    ascending = sorted(keys)
    return attributes if keys == ascending else {key: attributes[key] for key in ascending}
