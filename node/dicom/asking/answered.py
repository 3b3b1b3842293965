"""What a match says, as plain values by keyword."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydicom import config
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.dicom.asking.keys import name_of, vr_of

_NUMBERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "IS"})
_REALS = frozenset({"FL", "FD"})
_TEXTS = frozenset({"PN", "LO", "SH", "ST", "LT", "UT", "UC"})
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})

Said = Mapping[str, Any]
"""By keyword, or ggggeeee where there is none: text, a number, a list of these, or of items."""


def said_by(match: Dataset) -> dict[str, Any]:
    """Return what a match says.

    Text is as DICOM writes it, without padding; None is an attribute without a value. Bytes are in
    hexadecimal. What cannot be read as its value representation, or in the character set that its
    peer declares, is the text that its bytes are in Latin-1; where none is declared, in UTF-8 if
    they are that.
    """
    said: dict[str, Any] = {}
    with config.disable_value_validation():  # peers answer what they hold
        for tag in sorted(match.keys()):
            said[name_of(tag)] = _value(match, tag)
    return said


def in_words(value: object, keyword: str = "") -> str:
    """Return a value for people: dates and times with their signs, lists with commas."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        inner = (f"{name}={in_words(one, name)}" for name, one in value.items() if one is not None)
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return ", ".join(in_words(one, keyword) for one in value)
    text = str(value)
    vr = vr_of(tag_for_keyword(keyword) or 0)
    if vr == "DA" and len(text) == 8 and text.isdecimal():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    if vr == "TM" and len(text) >= 6 and text[:6].isdecimal():
        return f"{text[:2]}:{text[2:4]}:{text[4:6]}"
    return text


def in_columns(matches: Sequence[Said], asked: Sequence[str]) -> list[str]:
    """Return the keywords of all that matches say, what was asked for first and in its order."""
    said = dict.fromkeys(name for match in matches for name in match)
    return [*asked, *(name for name in said if name not in asked)]


def _value(match: Dataset, tag: int) -> object:
    raw: object = match.get_item(tag)
    encoded = raw.value if isinstance(raw, RawDataElement) else None
    if encoded is not None and not encoded.isascii() and vr_of(tag) in _TEXTS:
        rescued = _rescued(encoded, declared="SpecificCharacterSet" in match)
        if rescued is not None:
            return rescued
    with suppress(Exception):  # pydicom's have no common base, and a value is what it is
        value = _plain(match[tag])
        if encoded is None or "\ufffd" not in str(value):
            return value
    return None if encoded is None else encoded.decode("latin-1").strip(" \0")


def _rescued(encoded: bytes, *, declared: bool) -> str | None:
    """Return text whose peer does not say its character set, where it is plainly UTF-8."""
    if declared:
        return None
    with suppress(UnicodeDecodeError):
        return encoded.decode().strip(" \0")
    return None


def _plain(element: DataElement) -> object:
    value, vr = element.value, element.VR or vr_of(element.tag)
    if vr == "SQ":
        return [said_by(item) for item in value]
    if value is None or value == "" or (isinstance(value, MultiValue) and not value):
        return None
    if isinstance(value, MultiValue | list):
        return [_single(one, vr) for one in value]
    return _single(value, vr)


def _single(value: Any, vr: str) -> object:  # noqa: ANN401 - pydicom's own values
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex() if vr in _BYTES else value.decode("latin-1").strip(" \0")
    if vr in _NUMBERS:
        with suppress(ValueError, TypeError):
            return int(value)
    if vr in _REALS:
        with suppress(ValueError, TypeError):
            return float(value)
    if vr == "AT":
        return f"{int(value):08X}"
    written = getattr(value, "original_string", None)  # of a decimal; of a name it is bytes
    return (written if isinstance(written, str) else str(value)).strip(" \0")
