"""The text of short, flat datasets, such as the answers to a query: read without a header.

`read_header` makes all of a dataset, which is what the index keeps. Of an answer some ten values
are wanted, and thousands come in a second. What is here finds the elements, and reads no more of
them than is asked for, with the same converters; whatever is not as plain as that is left to
`read_header`.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from schema.header.bulk import MAX_VALUE
from schema.header.charset import DEFAULT_CHARSET, Charset, charset_of
from schema.header.header import as_text, tag_of
from schema.header.scope import standard_vr
from schema.header.values import clean_text
from schema.header.vr import LITTLE_ENDIAN

_IMPLICIT_LITTLE, _EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"

_TEXTS = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI")
)
"""The VRs of short texts; a dataset with any other is not plain."""

_CODES = {name.encode(): name for name in _TEXTS}

_AS_WRITTEN = frozenset(("CS", "DA", "LO", "PN", "SH", "TM", "UI"))
"""Those of which the value is its text, where `_MEANS_MORE` is not in it."""

_MEANS_MORE = re.compile(rb"[\\=\x1b\0]")
"""Delimits values (PS3.5 section 6.4) or the groups of a name (6.2.1), switches character sets
(6.1.2.5), or is no text."""

_DIGITS = 12
"""How many an IS has at most (PS3.5 section 6.2)."""

_SHORT = 64
"""Bytes of a value field whose values may be kept for the next answer."""

_CHARSET = 0x00080005
_FIRST, _END = 0x00080000, 0x7FE00000
"""What lies outside is no element of an answer: File Meta, padding, delimiters, pixel data."""

_EXPLICIT = Struct("<HH2sH").unpack_from
_IMPLICIT = Struct("<HHL").unpack_from

Elements = Mapping[int, tuple[str, bytes]]
"""VR and value field of each element that has a value, by tag."""


class PlainHeader:
    """What a plain dataset says: the same texts that its `Header` has.

    Parameters
    ----------
    elements
        See there.
    """

    __slots__ = ("_charset", "_elements")

    def __init__(self, elements: Elements) -> None:
        self._elements = elements
        self._charset = DEFAULT_CHARSET
        if _CHARSET in elements:
            vr, raw = elements[_CHARSET]
            read = _charset_of if len(raw) <= _SHORT else _charset_of.__wrapped__
            self._charset = read(vr, raw)

    def text(self, keyword: str) -> str | None:
        """Return the first value of an attribute as text; None when there is none."""
        element = self._elements.get(tag_of(keyword))
        if element is None:
            return None
        vr, raw = element
        if raw.isascii():
            plain = raw.rstrip(b" \0")
            if vr in _AS_WRITTEN and not _MEANS_MORE.search(plain):
                return plain.decode("ascii") or None
            if vr == "IS" and plain.isdigit() and len(plain) <= _DIGITS:
                return str(int(plain))
        return next(iter(self._texts(vr, raw)), None)

    def texts(self, keyword: str) -> list[str]:
        """Return the values of an attribute as text; empty values are left out."""
        element = self._elements.get(tag_of(keyword))
        return [] if element is None else self._texts(*element)

    def _texts(self, vr: str, raw: bytes) -> list[str]:
        if vr == "CS" and len(raw) <= _SHORT:
            return list(_codes(raw))
        return _texts(vr, raw, self._charset)


def _texts(vr: str, raw: bytes, charset: Charset) -> list[str]:
    return [clean_text(text) for value in _values(vr, raw, charset) if (text := as_text(value))]


def _values(vr: str, raw: bytes, charset: Charset) -> list[Any]:
    convert = LITTLE_ENDIAN[vr].convert
    return (None if convert is None else convert(raw, charset)) or []


@lru_cache(maxsize=1024)
def _codes(raw: bytes) -> tuple[str, ...]:
    """Return the values of a CS: in thousands of answers there are few different ones."""
    return tuple(_texts("CS", raw, DEFAULT_CHARSET))  # codes are in the default repertoire


@lru_cache(maxsize=64)
def _charset_of(vr: str, raw: bytes) -> Charset:
    terms = _values(vr, raw, DEFAULT_CHARSET)
    return charset_of([one if isinstance(one, str) else "" for one in terms])


def read_plain(data: bytes, transfer_syntax_uid: str | None) -> PlainHeader | None:
    """Return what an encoded dataset says; None when it is not plain, or not sound.

    Parameters
    ----------
    transfer_syntax_uid
        Implicit or Explicit VR Little Endian: nothing else is plain.
    """
    read = _READERS.get(transfer_syntax_uid or "")
    if read is None or not 0 < len(data) <= MAX_VALUE:
        return None
    elements = read(data)
    return None if elements is None else PlainHeader(elements)


def _explicit(data: bytes) -> dict[int, tuple[str, bytes]] | None:
    """Return the elements of a dataset in explicit VR (PS3.5 section 7.1.2)."""
    elements: dict[int, tuple[str, bytes]] = {}
    position, end, before = 0, len(data), _FIRST
    codes = _CODES
    while position + 8 <= end:
        group, element, code, length = _EXPLICIT(data, position)
        tag = group << 16 | element
        vr = codes.get(code)
        start = position + 8
        position = start + length
        if vr is None or tag <= before or position > end:
            return None
        before = tag
        if length:
            elements[tag] = vr, data[start:position]
    return elements if position == end and before < _END else None


def _implicit(data: bytes) -> dict[int, tuple[str, bytes]] | None:
    """Return the elements of a dataset in implicit VR (PS3.5 section 7.1.3)."""
    if data[4:6].isalpha() and data[4:6].isupper():  # it is in explicit VR, whatever is said
        return None
    elements: dict[int, tuple[str, bytes]] = {}
    position, end, before = 0, len(data), _FIRST
    while position + 8 <= end:
        group, element, length = _IMPLICIT(data, position)
        tag = group << 16 | element
        vr = standard_vr(tag)
        start = position + 8
        position = start + length
        if vr not in _TEXTS or tag <= before or position > end:
            return None
        before = tag
        if length:
            elements[tag] = vr, data[start:position]
    return elements if position == end and before < _END else None


_READERS = {_IMPLICIT_LITTLE: _implicit, _EXPLICIT_LITTLE: _explicit}
