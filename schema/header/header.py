"""The header of an image: its attributes as DICOM JSON, and quick access to their text."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from pydicom.datadict import tag_for_keyword

from schema.header.scope import Attributes
from schema.header.values import clean_text
from schema.header.vr import PERSON_NAME_GROUPS, float_value

MAX_META = 64 << 20
"""Bytes of JSON up to which a header is kept whole; PostgreSQL's jsonb ends at 256 MB."""

MAX_NUMBER = 1e300
"""The least amount of a number that is none in a column: near the end of what a double holds."""

_INT64 = range(-(2**63), 2**64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a dataset says, without its bulk data.

    Attributes
    ----------
    attributes
        The dataset in the DICOM JSON Model (PS3.18 annex F), tags in ascending order.
    meta_json
        The same as UTF-8 text that SQLite's JSON functions and PostgreSQL's jsonb take.
    transfer_syntax_uid
        How the dataset was encoded; None when nothing said so.
    """

    attributes: Attributes
    meta_json: bytes
    transfer_syntax_uid: str | None = None

    def texts(self, keyword: str) -> list[str]:
        """Return the values of an attribute as text; empty values are left out.

        Parameters
        ----------
        keyword
            The attribute's keyword (PS3.6), ``PatientID`` for example.

        Raises
        ------
        KeyError
            There is no such keyword.
        """
        return [text for value in self._values(keyword) if (text := as_text(value))]

    def text(self, keyword: str) -> str | None:
        """Return the first value of an attribute as text; None when there is none.

        The component groups of a person name are joined as in PS3.5 section 6.2.1.
        """
        return next((text for value in self._values(keyword) if (text := as_text(value))), None)

    def number(self, keyword: str) -> float | None:
        """Return the first value of an attribute as a number.

        None when there is none, when it is text (``n/a``, ``NaN``, ``1,5``), and when its
        amount is `MAX_NUMBER` or more, which no measurement is.
        """
        value = next((value for value in self._values(keyword) if as_text(value)), None)
        if isinstance(value, int | float) and abs(value) < MAX_NUMBER:
            return float(value) + 0.0  # of the two zeros only one is the same in every database
        return None

    def _values(self, keyword: str) -> Sequence[Any]:
        attribute = self.attributes.get(_key_of(keyword))
        values: Sequence[Any] = () if attribute is None else attribute.get("Value", ())
        return values

    @property
    def sop_class_uid(self) -> str | None:
        """What kind of object it is."""
        return self.text("SOPClassUID")

    @property
    def sop_instance_uid(self) -> str | None:
        """Which object it is."""
        return self.text("SOPInstanceUID")

    @property
    def study_instance_uid(self) -> str | None:
        """Which study it belongs to."""
        return self.text("StudyInstanceUID")

    @property
    def series_instance_uid(self) -> str | None:
        """Which series it belongs to."""
        return self.text("SeriesInstanceUID")


@lru_cache
def tag_of(keyword: str) -> int:
    """Return the tag of an attribute; raises KeyError where there is no such keyword."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


@lru_cache
def _key_of(keyword: str) -> str:
    return f"{tag_of(keyword):08X}"


def make_header(attributes: Attributes, transfer_syntax_uid: str | None) -> Header:
    """Return the header of attributes, cleaned where they cannot be stored as they are."""
    try:
        meta_json = orjson.dumps(attributes)
    except TypeError:  # a lone surrogate, or an integer of more than 64 bits
        attributes = _storable(attributes)
        meta_json = orjson.dumps(attributes)
    if len(meta_json) > MAX_META:
        attributes = _shortened(attributes, len(meta_json))
        meta_json = orjson.dumps(attributes)
    return Header(
        attributes=attributes, meta_json=meta_json, transfer_syntax_uid=transfer_syntax_uid
    )


def as_text(value: Any) -> str:  # noqa: ANN401 - whatever JSON has
    """Return a value of the DICOM JSON Model as text; "" where it has none."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, dict):
        return ""
    groups = [value.get(group, "") for group in PERSON_NAME_GROUPS]
    return "=".join(groups).rstrip("=") if all(isinstance(g, str) for g in groups) else ""


def _storable(value: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    """Return the value with everything replaced that UTF-8 JSON cannot hold."""
    if isinstance(value, dict):
        return {clean_text(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return float_value(value)
    if isinstance(value, int) and value not in _INT64:
        return str(value)
    return value


def _shortened(attributes: Attributes, size: int) -> Attributes:
    """Return the attributes without their largest values, which count as bulk data."""
    sizes = {key: len(orjson.dumps(attribute)) for key, attribute in attributes.items()}
    kept = dict(attributes)
    for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if size <= MAX_META:
            break
        kept[key] = {"vr": attributes[key]["vr"]}
        size -= sizes[key]
    return kept
