"""From a match of a C-FIND to what it says of a study."""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.net.dimse.identifiers import (
    AT_ONCE,
    EncodedIdentifier,
    InvalidIdentifier,
    decoded_identifier,
)
from schema.errors import InvalidDicom
from schema.finding.answer import StudyAnswer, read_answer

_PLAIN = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})


async def answer_of(match: EncodedIdentifier | Dataset, keywords: Sequence[str]) -> StudyAnswer:
    """Return what a match says of a study.

    What is short and in a plain encoding is read by the index's own reader, straight from the
    bytes. All else, and what that finds broken, goes through pydicom, which takes longer and
    forgives more; the values are read by the same rules.

    Parameters
    ----------
    keywords
        Attributes that were asked for beside the usual ones.

    Raises
    ------
    InvalidDicom
        When it is no dataset, one of a size that no identifier has, or names no study.
    """
    if isinstance(match, Dataset):
        return read_answer(match, keywords)
    syntax = match.transfer_syntax
    if len(match.data) <= AT_ONCE and syntax in _PLAIN:
        try:
            return read_answer(match.data, keywords, transfer_syntax_uid=syntax)
        except InvalidDicom:
            pass
    try:
        dataset = await decoded_identifier(match.data, syntax, values=False)
    except InvalidIdentifier as error:
        raise InvalidDicom(str(error)) from error
    return read_answer(dataset, keywords)
