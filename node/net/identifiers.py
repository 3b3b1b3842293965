"""Identifiers of queries and retrievals: datasets in the context's transfer syntax (PS3.7 9.3)."""

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode, encode


class InvalidIdentifier(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """An identifier that cannot be decoded or encoded."""


def read_identifier(encoded: bytes, transfer_syntax: str) -> Dataset:
    """Decode an identifier, all of it: a dataset decodes its values only when they are read.

    Raises
    ------
    InvalidIdentifier
        When it is no dataset.
    """
    syntax = UID(transfer_syntax)
    try:
        dataset = decode(
            BytesIO(encoded), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated
        )
        dataset.decode()
    except Exception as error:  # the decoder's exceptions have no common base
        raise InvalidIdentifier(f"the identifier cannot be decoded: {error}") from error
    return dataset


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
