"""What a match of a query says: read by the index's own reader where it is short and plain."""

from collections.abc import Callable

from pydicom.dataset import Dataset

from node.dicom.query import text_of
from node.net.dimse.identifiers import (
    AT_ONCE,
    EncodedIdentifier,
    InvalidIdentifier,
    decoded_identifier,
)
from schema.header.plain import read_plain

Texts = Callable[[str], str]
"""Gives an attribute as text without padding, by its keyword; "" when it is not there."""


async def texts_of(match: EncodedIdentifier | Dataset) -> Texts | None:
    """Return what reads a match; None where it cannot be decoded.

    Matches come by the thousand, and three or four values of each are wanted: pydicom, which takes
    ten times as long, is for those that are not plain.
    """
    if isinstance(match, EncodedIdentifier):
        data, syntax = match.data, match.transfer_syntax
        plain = read_plain(data, syntax) if len(data) <= AT_ONCE else None
        if plain is not None:
            return lambda keyword: (plain.text(keyword) or "").strip(" \0")
        try:
            dataset = await decoded_identifier(data, syntax)
        except InvalidIdentifier:
            return None
    elif match:
        dataset = match
    else:  # in DICOM JSON, it was not as it has to be
        return None
    return lambda keyword: text_of(dataset, keyword)
