"""One page of an answer: DICOM JSON (PS3.18 Annex F) to datasets, strict about its shape."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import orjson
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from schema.errors import InvalidDicom
from schema.header.dataset import to_dataset

_STUDY = "StudyInstanceUID"
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_UTF_8 = {"utf-8", "utf8"}
_ESCAPED = 0xDC00
_UNDECODED = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of bytes that are not UTF-8."""
_PERSON_NAME_GROUPS = {"Alphabetic", "Ideographic", "Phonetic"}

JsonMatch = Mapping[str, Any]
"""The attributes of one match, by tag."""


class NoDicomJson(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """What came is no answer to a search, or a part of it is no match."""


def read_page(body: bytes, charset: str = "") -> list[object]:
    """Return the matches of a page, each still as it came.

    JSON is UTF-8 (RFC 8259 8.1). One that is not is read in the character set that the response
    declares; where that is none, each byte that is not UTF-8 is read in ISO 8859-1.

    Parameters
    ----------
    body
        Of the response.
    charset
        Of its Content-Type.

    Raises
    ------
    NoDicomJson
        It is not the JSON of a list.
    """
    try:
        page = orjson.loads(_in_utf8(body, charset))
    except orjson.JSONDecodeError as error:
        raise NoDicomJson(f"it is no JSON ({error})") from error
    if not isinstance(page, list):
        raise NoDicomJson("it is no list of matches")
    return page


def tag_of(keyword: str) -> str:
    """Return the tag of an attribute of the standard as DICOM JSON writes it."""
    return f"{tag_for_keyword(keyword) or 0:08X}"


def identity(match: object, key: str = _STUDY) -> bytes:
    """Return what tells one match of an answer from the others, whatever it is.

    Parameters
    ----------
    key
        The keyword of the UID that does.
    """
    try:
        uid = match[tag_of(key)]["Value"][0]  # type: ignore[index]
        return str(uid).strip(" \0").encode("utf-8", "replace")
    except (KeyError, IndexError, TypeError):
        return orjson.dumps(match)


def to_match(match: object, wanted: Collection[str], key: str = _STUDY) -> Dataset:
    """Return a match as the dataset that a C-FIND would have brought.

    Parameters
    ----------
    wanted
        The tags to take; a server may send many more.
    key
        The keyword of the UID that it has to have.

    Raises
    ------
    NoDicomJson
        Its shape is not that of DICOM JSON, or it has not that UID.
    """
    if not isinstance(match, Mapping):
        raise NoDicomJson("a match is no object")
    try:
        dataset = to_dataset(dict(_attributes(match, wanted)))
    except InvalidDicom as error:
        raise NoDicomJson(str(error)) from error
    if not dataset.get(key):
        raise NoDicomJson(f"a match has no {key}")
    return dataset


def _attributes(match: JsonMatch, wanted: Collection[str]) -> Iterator[tuple[str, Any]]:
    for key, attribute in match.items():
        if not _TAG.fullmatch(key):
            raise NoDicomJson("a key is no tag")
        if key.upper() not in wanted:
            continue
        values = attribute.get("Value", []) if isinstance(attribute, Mapping) else None
        if not isinstance(values, list) or not isinstance(attribute.get("vr"), str):
            raise NoDicomJson(f"({key}) has no VR and list of values")
        if attribute["vr"] == "PN":
            values = [_person_name(value) for value in values]
        elif any(isinstance(value, dict | list) for value in values):
            raise NoDicomJson(f"({key}) has a value that is neither text nor a number")
        yield key, {"vr": attribute["vr"], "Value": values}


def _person_name(value: object) -> object:
    """Return a person name by groups (PS3.18 F.2.2); some servers write it as one text."""
    if value is None:
        return value
    if isinstance(value, str):
        return {"Alphabetic": value}
    if not isinstance(value, dict) or not all(
        isinstance(text, str) for group, text in value.items() if group in _PERSON_NAME_GROUPS
    ):
        raise NoDicomJson("a person name is no text")
    return value


def _in_utf8(body: bytes, charset: str) -> bytes:
    try:
        body.decode()
    except UnicodeDecodeError:
        return _text_of(body, charset).encode("utf-8", "replace")
    return body.removeprefix(b"\xef\xbb\xbf")


def _text_of(body: bytes, charset: str) -> str:
    if charset and charset.lower() not in _UTF_8:
        try:
            return body.decode(charset)
        except (LookupError, UnicodeError):
            pass
    text = body.decode("utf-8", "surrogateescape")  # one study may be wrong, and the others not
    return _UNDECODED.sub(lambda found: chr(ord(found[0]) - _ESCAPED), text)
