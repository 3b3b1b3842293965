"""Attributes of a header as DICOM JSON (PS3.18 F.2): as text, as matched, and as encoded."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID
from pydicom.valuerep import format_number_as_ds

from node.dicom.querying.matching import matches
from node.dicom.querying.question import HeaderKey
from schema.header.dicomjson import to_dataset

Attribute = Mapping[str, Any]
"""``vr``, and ``Value``, ``InlineBinary`` or neither."""

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def json_tag(tag: int) -> str:
    """Return a tag as the JSON model writes it."""
    return f"{tag:08X}"


def texts_of(attribute: Attribute | None) -> tuple[str, ...]:
    """Return an attribute's values as text; a sequence and bulk data have none."""
    if attribute is None or not (values := attribute.get("Value")):
        return ()
    vr = attribute.get("vr", "")
    if len(values) == 1:  # nearly all have one
        value = values[0]
        return (value if type(value) is str else _text(value, vr),)
    return tuple(_text(value, vr) for value in values)


def _text(value: Any, vr: str) -> str:  # noqa: ANN401 - whatever JSON has
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, Mapping):
        if len(value) == 1 and _GROUPS[0] in value:
            return str(value[_GROUPS[0]])
        return "=".join(value.get(group, "") for group in _GROUPS).rstrip("=")
    if isinstance(value, float):
        return _number_text(value, vr)
    return str(value)


def _number_text(value: float, vr: str) -> str:
    if not value % 1:
        return str(int(value))
    return repr(value) if vr in ("FL", "FD") else format_number_as_ds(value)


def meets(tag: int, key: HeaderKey, attribute: Attribute | None) -> bool:
    """Tell whether an attribute of a header is what a key asks for (PS3.4 C.2.2.2).

    A sequence does where one of its items meets all keys of the key's item (C.2.2.2.6).
    """
    if not key.asks:
        return True
    if attribute is None:
        return False
    if key.items:
        return any(
            all(meets(inner, one, item.get(json_tag(inner))) for inner, one in key.items.items())
            for item in attribute.get("Value", ())
            if isinstance(item, Mapping)
        )
    return matches(_representation(tag, key, attribute), key.values, texts_of(attribute))


def _representation(tag: int, key: HeaderKey, attribute: Attribute | None) -> str:
    vr = str(attribute["vr"]) if attribute is not None and "vr" in attribute else key.vr
    if vr == "UN" and dictionary_has_tag(tag):
        vr = dictionary_VR(tag)
    return vr.partition(" ")[0]


def encoded_attribute(
    tag: int,
    key: HeaderKey,
    attribute: Attribute | None,
    *,
    transfer_syntax_uid: str,
    charset: Sequence[str] = (),
) -> bytes:
    """Return an attribute as an element of an identifier; empty where the header has none.

    Of a sequence's items, those attributes that the key's item names; all where it names none.

    Parameters
    ----------
    charset
        Specific Character Set in which text is written.
    """
    asked = _asked_of(tag, key, attribute)
    syntax = UID(transfer_syntax_uid)

    def write(dataset: Dataset) -> bytes:
        buffer = DicomBytesIO()
        buffer.is_implicit_VR = syntax.is_implicit_VR
        buffer.is_little_endian = syntax.is_little_endian
        write_dataset(buffer, dataset)
        return buffer.getvalue()

    dataset = to_dataset({json_tag(tag): asked})
    if not charset:
        return write(dataset)
    said = Dataset()
    said.SpecificCharacterSet = list(charset)
    before = len(write(said))
    dataset.SpecificCharacterSet = list(charset)
    return write(dataset)[before:]


def _asked_of(tag: int, key: HeaderKey, attribute: Attribute | None) -> Attribute:
    if attribute is None:
        return {"vr": _representation(tag, key, None)}
    if not key.items:
        return attribute
    items = [item for item in attribute.get("Value", ()) if isinstance(item, Mapping)]
    return {
        "vr": "SQ",
        "Value": [
            {
                json_tag(inner): _asked_of(inner, one, item.get(json_tag(inner)))
                for inner, one in key.items.items()
            }
            for item in items
        ],
    }
