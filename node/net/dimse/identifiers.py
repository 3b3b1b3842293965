"""Identifiers of queries and retrievals: datasets in the context's transfer syntax (PS3.7 9.3).

They are small, and a peer may send large ones: what would take long to decode is refused before
it is, and what takes longer than a moment is decoded beside the event loop.
"""

import asyncio
from dataclasses import dataclass
from io import BytesIO

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode, encode

from node.dicom.elements import elements

AT_ONCE = 1 << 12
"""Bytes of an identifier that is decoded without ado: a match has a few hundred."""

_MOST_ELEMENTS = 2048
"""Elements, and items of sequences, of an identifier: the longest of PS3.4 Annexes C and K have a
few dozen."""

_DEEPEST = 64
"""Sequences and items within one another; the standard's own have a handful."""

_MOST_VALUES = 1 << 14
"""Values of an identifier's elements: UIDs to be moved come in long lists."""


_UNIQUE_KEYS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
"""By Query/Retrieve Level (PS3.4 C.6.1.1)."""


class InvalidIdentifier(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """An identifier that cannot be decoded or encoded."""


@dataclass(frozen=True, slots=True)
class EncodedIdentifier:
    """An identifier as it came, and the UID of its transfer syntax."""

    data: bytes
    transfer_syntax: str


async def decoded_identifier(
    encoded: bytes, transfer_syntax: str, *, values: bool = True
) -> Dataset:
    """Decode an identifier, all of it: a dataset decodes its values only when they are read.

    Parameters
    ----------
    values
        False leaves the values as they came, to who reads them by rules of its own.

    Raises
    ------
    InvalidIdentifier
        When it is no dataset, or one of a size that no identifier has.
    """
    if len(encoded) > AT_ONCE:
        return await asyncio.to_thread(_read, encoded, transfer_syntax, values)
    return _read(encoded, transfer_syntax, values)


def _read(encoded: bytes, transfer_syntax: str, values: bool) -> Dataset:
    _refuse_huge(encoded, transfer_syntax)
    syntax = UID(transfer_syntax)
    try:
        dataset = decode(
            BytesIO(encoded), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated
        )
        if values:
            with config.disable_value_validation():  # patterns and ranges are no values of their VR
                dataset.decode()
    except Exception as error:  # the decoder's exceptions have no common base
        raise InvalidIdentifier(f"the identifier cannot be decoded: {error}") from error
    return dataset


def _refuse_huge(encoded: bytes, transfer_syntax: str) -> None:
    if encoded.count(b"\\") > _MOST_VALUES:
        raise InvalidIdentifier(f"the identifier has more than {_MOST_VALUES} values")
    for number, element in enumerate(elements(encoded, transfer_syntax)):
        if number >= _MOST_ELEMENTS:
            raise InvalidIdentifier(f"the identifier has more than {_MOST_ELEMENTS} elements")
        if element.depth > _DEEPEST:
            raise InvalidIdentifier(f"the identifier is nested deeper than {_DEEPEST} levels")


async def is_match(encoded: bytes, transfer_syntax: str, asked: Dataset) -> bool:
    """Tell whether what came with the last response to a query is a match, and no echo of it.

    It is one where it names what the level is about, and says something that was not in the
    question. What cannot be decoded may be one.

    Parameters
    ----------
    asked
        The identifier of the question.
    """
    try:
        said = await decoded_identifier(encoded, transfer_syntax)
    except InvalidIdentifier:
        return True
    level = str(asked.get("QueryRetrieveLevel", ""))
    if not said.get(_UNIQUE_KEYS.get(level, "StudyInstanceUID")):
        return False
    return any(one.value and asked.get(one.tag) != one for one in said)


def write_identifier(dataset: Dataset, transfer_syntax: str) -> bytes:
    """Encode an identifier.

    Raises
    ------
    InvalidIdentifier
        When it cannot be encoded.
    """
    syntax = UID(transfer_syntax)
    encoded = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if encoded is None:
        raise InvalidIdentifier("the identifier cannot be encoded")
    return encoded
