"""Value fields turned into the values of the DICOM JSON Model, one function per kind of VR.

PS3.5 section 6.2 says how a value field is encoded, PS3.18 section F.2.3 what it becomes
in JSON. A converter takes the bytes of a whole value field and returns the list for
``Value``: empty when the field holds nothing, None when the bytes cannot be of that VR.
It never raises. What a number's VR cannot express stays as text, as it was written:

- DS and IS that are no numbers (``1,5``), that are not finite, or that need more than 64
  bits (PS3.18 section F.2.3 allows strings there);
- NaN and the infinities of FL and FD, which JSON does not have, as the strings ``NaN``,
  ``Infinity`` and ``-Infinity``.
"""

import re
from collections.abc import Callable
from math import isfinite, isnan
from struct import Struct, unpack
from typing import Any, NamedTuple

from schema.header.charset import NAME_DELIMITERS, PROSE_DELIMITERS, Charset
from schema.header.values import clean_text

Converter = Callable[[bytes, Charset], list[Any] | None]

PERSON_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
"""The component groups of a person name (PS3.18 section F.2.2)."""

BINARY_WORD = {"OB": 1, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2, "UN": 1}
"""Bytes per word of the VRs whose value is a string of bytes or words."""

_PADDING = " \0"
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,19}(?:\.0*)?")
_INT64 = range(-(2**63), 2**63)


class Representation(NamedTuple):
    """What the reader has to know of a VR.

    Attributes
    ----------
    name
        The two letters.
    wide
        True when the explicit form has two reserved bytes and a length of 32 bits (PS3.5
        section 7.1.2).
    convert
        None for the VRs that are no plain values: SQ, and those of `BINARY_WORD`.
    """

    name: str
    wide: bool
    convert: Converter | None


def person_name(text: str) -> dict[str, str] | None:
    """Return the JSON object of one person name; None for an empty one."""
    groups = [group.rstrip(_PADDING) for group in text.rstrip("= \0").split("=", 2)]
    return {
        name: group for name, group in zip(PERSON_NAME_GROUPS, groups, strict=False) if group
    } or None


def float_value(value: float) -> float | str:
    """Return the number, or its name where JSON has no number for it."""
    if isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decimal_value(raw: bytes) -> float | str | None:
    """Return one value of a DS field: a number, else its text; None when it is empty."""
    raw = raw.strip(b" \0")
    if _DECIMAL.fullmatch(raw) and isfinite(number := float(raw)):
        return number
    return clean_text(raw.decode("latin_1")) if raw else None


def integer_value(raw: bytes) -> int | str | None:
    """Return one value of an IS field: a number, else its text; None when it is empty."""
    raw = raw.strip(b" \0")
    if _INTEGER.fullmatch(raw) and (number := int(raw.partition(b".")[0])) in _INT64:
        return number
    return clean_text(raw.decode("latin_1")) if raw else None


def _split(text: str) -> list[Any]:
    """Return the values of a text; empty ones among several are null (PS3.18 F.2.5)."""
    if "\0" in text:
        parts = [clean_text(part.rstrip(_PADDING)) for part in text.split("\\")]
    elif "\\" in text:
        parts = [part.rstrip(" ") for part in text.split("\\")]
    else:
        return [text] if text else []
    return [part or None for part in parts]


def _code(raw: bytes, _: Charset) -> list[Any]:
    """AS, CS, DA, DT, TM, UI: the default repertoire, whatever the character set."""
    return _split(raw.rstrip(b" \0").decode("latin_1"))


def _title(raw: bytes, _: Charset) -> list[Any]:
    """AE: spaces on either side mean nothing."""
    values = _split(raw.strip(b" \0").decode("latin_1"))
    return [value and value.strip(" ") for value in values] if len(values) > 1 else values


def _address(raw: bytes, _: Charset) -> list[Any]:
    """UR: one value, in which a backslash is a backslash."""
    text = clean_text(raw.rstrip(b" \0").decode("latin_1"))
    return [text] if text else []


def _text(raw: bytes, charset: Charset) -> list[Any]:
    """LO, SH, UC: several values in the dataset's character set."""
    return _split(charset.decode(raw).rstrip(_PADDING))


def _prose(raw: bytes, charset: Charset) -> list[Any]:
    """LT, ST, UT: one value, in which a backslash is a backslash."""
    text = clean_text(charset.decode(raw, PROSE_DELIMITERS).rstrip(_PADDING))
    return [text] if text else []


def _names(raw: bytes, charset: Charset) -> list[Any]:
    text = clean_text(charset.decode(raw.rstrip(b" \0"), NAME_DELIMITERS))
    if "\\" in text:
        return [person_name(part) for part in text.split("\\")]
    name = person_name(text)
    return [] if name is None else [name]


def _decimals(raw: bytes, _: Charset) -> list[Any]:
    parts = raw.rstrip(b" \0").split(b"\\")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        pass
    else:
        # float() also takes 1_000 and inf, which are no decimal strings
        if b"_" not in raw and all(map(isfinite, values)):
            return values
    return _one_by_one(parts, decimal_value)


def _integers(raw: bytes, _: Charset) -> list[Any]:
    parts = raw.rstrip(b" \0").split(b"\\")
    try:
        values = [int(part) for part in parts]
    except ValueError:
        pass
    else:
        if b"_" not in raw and min(values) in _INT64 and max(values) in _INT64:
            return values
    return _one_by_one(parts, integer_value)


def _one_by_one(parts: list[bytes], convert: Callable[[bytes], Any]) -> list[Any]:
    values = [convert(part) for part in parts]
    return [] if values == [None] else values


def _tags(order: str) -> Converter:
    def convert(raw: bytes, _: Charset) -> list[Any] | None:
        if len(raw) % 4:
            return None
        numbers = unpack(f"{order}{len(raw) // 2}H", raw)
        return [f"{numbers[i]:04X}{numbers[i + 1]:04X}" for i in range(0, len(numbers), 2)]

    return convert


def _numbers(order: str, code: str) -> Converter:
    single = Struct(order + code)
    size = single.size

    def convert(raw: bytes, _: Charset) -> list[Any] | None:
        if len(raw) == size:
            return list(single.unpack(raw))
        count, rest = divmod(len(raw), size)
        return None if rest else list(unpack(f"{order}{count}{code}", raw))

    return convert


def _floats(order: str, code: str) -> Converter:
    numbers = _numbers(order, code)

    def convert(raw: bytes, charset: Charset) -> list[Any] | None:
        values = numbers(raw, charset)
        if values is None or all(map(isfinite, values)):
            return values
        return [float_value(value) for value in values]

    return convert


def _representations(order: str) -> dict[str, Representation]:
    short: dict[str, Converter] = {
        **dict.fromkeys(("AS", "CS", "DA", "DT", "TM", "UI"), _code),
        **dict.fromkeys(("LO", "SH"), _text),
        **dict.fromkeys(("LT", "ST"), _prose),
        "AE": _title,
        "AT": _tags(order),
        "DS": _decimals,
        "FD": _floats(order, "d"),
        "FL": _floats(order, "f"),
        "IS": _integers,
        "PN": _names,
        "SL": _numbers(order, "l"),
        "SS": _numbers(order, "h"),
        "UL": _numbers(order, "L"),
        "US": _numbers(order, "H"),
    }
    wide: dict[str, Converter | None] = {
        **dict.fromkeys(BINARY_WORD, None),
        "SQ": None,
        "SV": _numbers(order, "q"),
        "UC": _text,
        "UR": _address,
        "UT": _prose,
        "UV": _numbers(order, "Q"),
    }
    return {
        **{name: Representation(name, False, convert) for name, convert in short.items()},
        **{name: Representation(name, True, convert) for name, convert in wide.items()},
    }


LITTLE_ENDIAN = _representations("<")
"""Every VR of PS3.5 table 6.2-1 by its name, values in little endian."""

BIG_ENDIAN = _representations(">")
"""The same, values in big endian."""
