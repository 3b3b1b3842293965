"""A question for each line of a list: all keys of a line together, exactly.

Pure. A line without a usable key, or with one that would name very many studies, is refused.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from node.cli.lists.csv_rows import Row
from node.cli.lists.table import ListKey, ListTable
from node.cli.lists.values import (
    accession_number_in,
    issuer_in,
    modality_in,
    patient_id_in,
    study_date_in,
    study_uid_in,
)
from node.dicom.query import StudyQuery, Window
from node.errors import UsageError
from schema.errors import InvalidKey, InvalidProject

NARROW = (ListKey.STUDY_UID, ListKey.ACCESSION_NUMBER, ListKey.PATIENT_ID)
"""The keys of which a line needs one."""


@dataclass(frozen=True, slots=True)
class ListLine:
    """A line of a list: its question, or why there is none."""

    row: Row
    query: StudyQuery | None
    problem: str = ""


def check_columns(table: ListTable) -> None:
    """Refuse a list of which no line can be asked for.

    Raises
    ------
    UsageError
        It has no column with a key that names few studies.
    """
    if not any(key in table.columns for key in NARROW):
        raise UsageError(
            f"{table.name} has no column {', '.join(NARROW[:-1])} or {NARROW[-1]}: "
            f"{', '.join(table.columns)} alone would bring too many studies"
        )


def lines_of_list(table: ListTable) -> Iterator[ListLine]:
    """Yield what each line of a list asks for."""
    for row in table.rows:
        try:
            yield ListLine(row, _question(row, table))
        except (InvalidKey, InvalidProject) as error:
            yield ListLine(row, None, str(error))


def digest_of(query: StudyQuery) -> bytes:
    """Return what tells a question from others, in a few bytes: there may be very many."""
    return hashlib.blake2b(repr(query).encode(), digest_size=12).digest()


def _question(row: Row, table: ListTable) -> StudyQuery:
    if row.unclosed:
        raise InvalidKey("a quote is opened here that is not closed in its cell")
    cells = {
        key: row.cells[at]
        for key, at in table.columns.items()
        if at < len(row.cells) and row.cells[at]
    }
    if not any(key in cells for key in NARROW):
        if cells:
            raise InvalidKey(f"{', '.join(cells)} alone would bring too many studies")
        raise InvalidKey("no study is named here: the cell is empty")
    day = study_date_in(cells[ListKey.STUDY_DATE]) if ListKey.STUDY_DATE in cells else None
    uid = study_uid_in(cells[ListKey.STUDY_UID]) if ListKey.STUDY_UID in cells else ""
    texts = {
        name: read(cells[key])
        for key, name, read in (
            (ListKey.ACCESSION_NUMBER, "accession_number", accession_number_in),
            (ListKey.PATIENT_ID, "patient_id", patient_id_in),
            (ListKey.ISSUER, "issuer", issuer_in),
            (ListKey.MODALITY, "modality", modality_in),
        )
        if key in cells
    }
    return StudyQuery(window=Window(start=day, end=day), study_uids=(uid,) if uid else (), **texts)
