"""What of a dataset is bulk data, and so no part of its header.

PS3.18 section F.2.6 lets bulk data be left out of the DICOM JSON Model. Here that is what
only a viewer or an algorithm needs: pixels, waveforms, overlays, documents, and any value
of such a length that it would weigh down the table in which headers are searched.
"""

from base64 import b64encode
from typing import Any

from schema.header.vr import BINARY_WORD

MAX_INLINE = 1024
"""Bytes of a binary value up to which it is kept; longer ones are bulk data."""

MAX_VALUE = 1 << 20
"""Bytes of any other value up to which it is kept; longer ones are bulk data too."""

PIXEL_DATA = frozenset(("7FE00008", "7FE00009", "7FE00010"))
"""Float, double float and integer pixel data: where the header of an image ends."""

_BULK = PIXEL_DATA | {
    "00420011",  # Encapsulated Document
    "54001010",  # Waveform Data
    "56000020",  # Spectroscopy Data
    "7FE00001",  # Extended Offset Table
    "7FE00002",  # Extended Offset Table Lengths
}
_REPEATING_BULK = frozenset(("200C", "3000"))  # audio, curves and overlays: groups 50xx, 60xx


def has_no_place(key: str) -> bool:
    """Tell whether the model has no place for an element (PS3.18 section F.2.2).

    These are group lengths and what belongs to a file or a message, not to a dataset.
    """
    return key[4:] == "0000" or key[:4] in ("0000", "0002")


def binary_attribute(key: str, name: str, raw: bytes) -> dict[str, Any]:
    """Return the attribute of a binary value, kept if it is short (PS3.18 section F.2.7)."""
    if not raw or len(raw) > MAX_INLINE or _is_bulk(key):
        return {"vr": name}
    return {"vr": name, "InlineBinary": b64encode(raw).decode("ascii")}


def little_endian(name: str, raw: bytes) -> bytes:
    """Return words of big endian in little endian, as PS3.18 section F.2.7 asks for."""
    size = BINARY_WORD[name]
    if size == 1 or len(raw) % size:
        return raw
    words = (raw[start : start + size] for start in range(0, len(raw), size))
    return b"".join(word[::-1] for word in words)


def _is_bulk(key: str) -> bool:
    """Tell whether an element is bulk data however short it is."""
    if key in _BULK:
        return True
    return key[:2] in ("50", "60") and key[4:] in _REPEATING_BULK
