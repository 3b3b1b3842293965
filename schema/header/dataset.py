"""Between pydicom's Dataset and the DICOM JSON Model, in both directions, for any value.

pydicom's own conversions raise for values that are wrong for their VR and write NaN; these
follow the rules of the reader of encoded bytes instead.
"""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from functools import partial
from math import isfinite
from typing import Any

import orjson
from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import DSfloat, PersonName

from schema.errors import InvalidDicom
from schema.header.bulk import MAX_VALUE, PIXEL_DATA, binary_attribute, has_no_place
from schema.header.charset import NAME_DELIMITERS, TEXT_DELIMITERS
from schema.header.elements import MAX_DEPTH, ElementReader, ordered
from schema.header.header import Header, make_header
from schema.header.scope import Attributes, Scope, representation_of
from schema.header.values import clean_text
from schema.header.vr import (
    BINARY_WORD,
    LITTLE_ENDIAN,
    PERSON_NAME_GROUPS,
    decimal_value,
    float_value,
    integer_value,
    person_name,
)

_INTEGERS = frozenset(("SL", "SS", "SV", "UL", "US", "UV"))
_FLOATS = frozenset(("FD", "FL"))
_NUMBERS = _INTEGERS | _FLOATS | {"AT"}
_ONE_TEXT = frozenset(("LT", "ST", "UR", "UT"))
"""VRs with one value, in which a backslash is a backslash (PS3.5 sections 6.2 and 6.4)."""

_WRONG = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""What pydicom and Python raise for values that are not what they should be."""

_DECIMAL_TEXT = {"DS": decimal_value, "IS": integer_value}


def header_of(dataset: Dataset) -> Header:
    """Return the header of a Dataset in memory, by the rules that `read_header` has.

    Elements that pydicom has not decoded yet stay so: the Dataset is not changed.

    Raises
    ------
    InvalidDicom
        An undecoded sequence is broken, or sequences are nested deeper than `MAX_DEPTH`.
    """
    file_meta = getattr(dataset, "file_meta", None)
    transfer_syntax = None if file_meta is None else file_meta.get("TransferSyntaxUID")
    attributes = _attributes(dataset, Scope(implicit=False, little=True))
    return make_header(attributes, clean_text(str(transfer_syntax or "")) or None)


def to_dataset(meta: Mapping[str, Any] | str | bytes) -> Dataset:
    """Return the Dataset that a header stands for.

    A value that is wrong for its VR becomes text, under the VR that it had where that is a
    VR of text. Nothing that `read_header` or `header_of` wrote raises.

    Parameters
    ----------
    meta
        DICOM JSON: a mapping, or its text.

    Raises
    ------
    InvalidDicom
        It is no DICOM JSON.
    """
    if isinstance(meta, str | bytes):
        try:
            return _dataset(orjson.loads(meta), depth=0)
        except orjson.JSONDecodeError as error:
            raise InvalidDicom(f"no JSON: {error}") from error
    return _dataset(meta, depth=0)


def _attributes(dataset: Dataset, scope: Scope) -> Attributes:
    for element in map(partial(_as_read, dataset), sorted(dataset.keys())):
        key = f"{element.tag:08X}"
        if key in PIXEL_DATA and not scope.depth:
            break
        if has_no_place(key):
            continue
        if isinstance(element, RawDataElement):
            attribute = _raw_attribute(key, element, scope)
        else:
            attribute = _attribute(key, element, scope)
        scope.attributes[key] = attribute
        scope.learn(key, attribute.get("Value", []))
    return ordered(scope.attributes)


def _as_read(dataset: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """Return an element as pydicom has it; an empty one it decodes, if it knows the VR."""
    try:
        return dataset.get_item(tag)
    except NotImplementedError:
        return dataset.get_item(tag, keep_deferred=True)


def _raw_attribute(key: str, raw: RawDataElement, scope: Scope) -> dict[str, Any]:
    """Return the attribute of an element as pydicom read it, not yet decoded."""
    scope.implicit, scope.little = raw.is_implicit_VR, raw.is_little_endian
    representation = representation_of(raw.VR, key, scope)
    value = raw.value
    if not value:  # empty, or left in the file because it is long
        return {"vr": representation.name}
    return ElementReader(value, complete=True).attribute(key, representation, scope)


def _attribute(key: str, element: DataElement, scope: Scope) -> dict[str, Any]:
    name = str(element.VR)
    if name not in ("SQ", *BINARY_WORD):
        name = representation_of(name, key, scope).name
    value = element.value
    if name == "SQ" or isinstance(value, Sequence):
        name = "SQ"
        if scope.depth >= MAX_DEPTH:
            raise InvalidDicom(f"sequences nested deeper than {MAX_DEPTH} in ({key})")
        items = [_attributes(item, scope.child()) for item in value or ()]
        return {"vr": name, "Value": items} if items else {"vr": name}
    if isinstance(value, bytes | bytearray) and (name in BINARY_WORD or name in _NUMBERS):
        return binary_attribute(key, name if name in BINARY_WORD else "UN", bytes(value))
    if value is None:
        return {"vr": name}
    if isinstance(value, str | bytes | bytearray | PersonName) or not isinstance(value, Iterable):
        value = [value]
    elif name in _ONE_TEXT:  # pydicom divides what is assigned to a UR
        value = ["\\".join(map(str, value))]
    values = [_value(name, part) for item in value for part in _parts(name, item, scope)]
    if sum(len(item) for item in values if isinstance(item, str)) > MAX_VALUE:
        return {"vr": name}
    return {"vr": name} if values in ([], [None]) else {"vr": name, "Value": values}


def _parts(name: str, value: Any, scope: Scope) -> list[Any]:  # noqa: ANN401
    """Return the values that one item stands for: text is divided by backslashes, as encoded."""
    if isinstance(value, bytes | bytearray):
        delimiters = NAME_DELIMITERS if name == "PN" else TEXT_DELIMITERS
        value = scope.charset.decode(bytes(value), delimiters)
    elif isinstance(value, PersonName):
        value = str(value)
    divided = isinstance(value, str) and name not in _ONE_TEXT
    return value.split("\\") if divided else [value]


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever users assign
    """Return one value of an element in JSON; None for an empty one."""
    if name == "PN":
        return person_name("" if value is None else clean_text(str(value)))
    try:
        if name in _NUMBERS:
            return _number(name, value)
    except (TypeError, ValueError, OverflowError):
        pass  # it stays text
    if name == "DS" and isinstance(value, float) and isfinite(value):
        return float(value)  # its text may be shortened to the 16 characters of a DS
    text = "" if value is None else str(value)
    if name in _DECIMAL_TEXT:
        number = _DECIMAL_TEXT[name](text.encode("utf-8", "replace"))
        return clean_text(text) if isinstance(number, str) else number
    return clean_text(text.rstrip(" \0")) or None


def _number(name: str, value: Any) -> int | float | str:  # noqa: ANN401
    if name == "AT":
        return f"{int(value):08X}"
    return int(value) if name in _INTEGERS else float_value(float(value))


def _dataset(meta: Mapping[str, Any], depth: int) -> Dataset:
    if depth > MAX_DEPTH:
        raise InvalidDicom(f"sequences nested deeper than {MAX_DEPTH}")
    dataset = Dataset()
    try:
        for key, attribute in meta.items():
            dataset.add(_element(int(key, 16), attribute["vr"], attribute, depth))
    except InvalidDicom:
        raise
    except _WRONG as error:
        raise InvalidDicom(f"no DICOM JSON: {error!r}") from error
    return dataset


def _element(tag: int, name: str, attribute: Mapping[str, Any], depth: int) -> DataElement:
    if name not in LITTLE_ENDIAN:
        raise InvalidDicom(f"no DICOM JSON: {name!r} is no VR")
    values = attribute.get("Value") or []
    if name == "SQ":
        return DataElement(
            tag, name, Sequence([_dataset(item or {}, depth + 1) for item in values])
        )
    if name in BINARY_WORD:
        binary = b64decode(attribute.get("InlineBinary") or b"", validate=True)
        element = DataElement(tag, "OB", binary)
        element.VR = name  # given at once, pydicom would decode what belongs to no UN
        return element
    try:
        decoded = [_decoded(name, value) for value in values]
        if name in _ONE_TEXT and decoded:  # taken as it is: a UR would be divided
            return DataElement(tag, name, "\\".join(decoded), already_converted=True)
        value = decoded[0] if len(decoded) == 1 else decoded or None
        return DataElement(tag, name, value, validation_mode=config.IGNORE)
    except _WRONG:
        texts = ["" if value is None else str(value) for value in values]
        element = DataElement(tag, "UC", texts, validation_mode=config.IGNORE)
        if name not in _NUMBERS:
            element.VR = name
        return element


def _is_kept_as_text(name: str, text: str) -> bool:
    """Tell whether pydicom would make something else of a text that was kept as it was."""
    if name in _DECIMAL_TEXT:
        return isinstance(_DECIMAL_TEXT[name](text.encode("utf-8", "replace")), str)
    return name == "UI" and text != text.strip()


def _decoded(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    """Return one value as pydicom wants it; raises for one that is wrong for its VR."""
    if name == "PN":
        groups = [(value or {}).get(group, "") for group in PERSON_NAME_GROUPS]
        return "=".join(groups).rstrip("=")
    if value is None:
        return ""
    if name == "DS" and not isinstance(value, str):
        number = float(value)  # jsonb gives 1e16 back as an integer
        return DSfloat(number, auto_format=len(repr(number)) > 16)
    if isinstance(value, str) and _is_kept_as_text(name, value):
        raise ValueError(value)
    if name == "AT":
        return int(value, 16)
    decode = float if name in _FLOATS else int if name in _INTEGERS else None
    return value if decode is None else decode(value)
