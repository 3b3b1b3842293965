"""A list as a table: where its heading is, and which column has which key.

Pure: bytes in, rows and columns out. A column is found by its heading, above which titles may
stand, or by a look at its first value.
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydicom.datadict import keyword_dict

from node.cli.lists.csv_rows import (
    SPACES,
    Row,
    cells_of,
    lines_of,
    rows_of,
    separators,
    told_separator,
)
from node.cli.lists.values import looks_like_uid, plain
from node.errors import UsageError


class ListKey(StrEnum):
    """What a column of a list may be, by DICOM keyword."""

    STUDY_UID = "StudyInstanceUID"
    ACCESSION_NUMBER = "AccessionNumber"
    PATIENT_ID = "PatientID"
    ISSUER = "IssuerOfPatientID"
    STUDY_DATE = "StudyDate"
    MODALITY = "ModalitiesInStudy"


_SPELLINGS: Mapping[ListKey, Sequence[str]] = {
    ListKey.STUDY_UID: (
        "studyinstanceuid", "studyuid", "studyinstanceuids", "studyuids", "0020000d", "uid",
        "siuid",
    ),
    ListKey.ACCESSION_NUMBER: (
        "accessionnumber", "accession", "accessionno", "accessionnr", "accno", "accnr", "00080050",
    ),
    ListKey.PATIENT_ID: ("patientid", "patid", "pid", "mrn", "00100020"),
    ListKey.ISSUER: ("issuerofpatientid", "issuer", "00100021"),
    ListKey.STUDY_DATE: ("studydate", "00080020"),
    ListKey.MODALITY: ("modalitiesinstudy", "modality", "modalities", "00080061", "00080060"),
}  # fmt: skip
_MEANINGS = {spelling: key for key, all_ in _SPELLINGS.items() for spelling in all_}
_KEYWORDS = frozenset(keyword.lower() for keyword in keyword_dict)

NAMES = (ListKey.STUDY_UID, ListKey.ACCESSION_NUMBER)
"""The keys that name single studies."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT = 8192
"""Bytes among which there is no zero, if it is text."""
_TITLES = 10
"""Lines among which the heading is."""
_COMMENT = re.compile(r"(?m)^[ \t]*#[^\r\n]*")
_ALIKE = 0.85
"""How alike two headings are of which one is taken for a slip of the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTable:
    """A list.

    Attributes
    ----------
    rows
        Those below the heading.
    heading
        None where there is none.
    columns
        Where each key is, counted from 0.
    separator
        What is between the cells of a line.
    """

    name: str
    rows: Sequence[Row]
    heading: Row | None
    columns: Mapping[ListKey, int]
    separator: str = ","


def read_table(
    data: bytes,
    *,
    name: str,
    keys: Collection[ListKey] = NAMES,
    column: str | None = None,
    comments: bool = False,
    by_option: bool = False,
) -> ListTable:
    """Read a list.

    Parameters
    ----------
    data
        CSV with commas, semicolons or tabs, in UTF-8, UTF-16 or an 8-bit encoding.
    name
        What it is called in messages.
    keys
        Which columns are looked for.
    column
        The heading of the one column that counts, or its number from 1.
    comments
        Whether lines that begin with # are left out.
    by_option
        Whether the command has `--column`, which says which column counts.

    Raises
    ------
    UsageError
        It is empty, no text, no CSV, or has no such column, or two of a key, or nothing below its
        heading.
    """
    if b"\0" in data[:_LOOKED_AT] and not data.startswith(_UTF_16):
        raise UsageError(f"{name} is no text: a list of studies, as CSV, is needed")
    headings = {spelling for key in keys for spelling in _SPELLINGS[key]}
    wanted = "" if (column or "").strip().isdecimal() else plain(column or "")
    text = _decoded(data)
    if comments:
        text = _COMMENT.sub("", text)  # the line stays, so that the others keep their numbers
    rows, separator, found = _rows(text, name, {wanted} if wanted else headings)
    if wanted and not found:
        rows, separator, found = _rows(text, name, headings)
    if not rows:
        raise UsageError(f"{name} is empty")
    columns, has_heading = (
        _find_columns(rows, name, keys, has_heading=found, by_option=by_option)
        if column is None
        else _named_column(rows, name, column)
    )
    if has_heading and len(rows) == 1:
        raise UsageError(f"{name} has a heading in line {rows[0].line}, and nothing below it")
    heading = rows[0] if has_heading else None
    return ListTable(
        name=name,
        rows=rows[1:] if has_heading else rows,
        heading=heading,
        columns=columns,
        separator=separator,
    )


def _decoded(data: bytes) -> str:
    if data.startswith(_UTF_16):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # keys are ASCII; other columns are not looked at


def _rows(text: str, name: str, headings: Collection[str]) -> tuple[list[Row], str, bool]:
    """Return the rows from the heading on, or all, their separator, and whether it has a heading.

    Titles may stand above the heading: it is looked for in the first lines that are not empty.
    """
    lines = lines_of(text)
    filled = [at for at, line in enumerate(lines) if line.strip(SPACES)]
    if not filled:
        return [], ",", False
    told = told_separator(lines[filled[0]])
    if told:
        filled = filled[1:]
    start, separator, found = 0, told, False
    for place, at in enumerate(filled[:_TITLES]):
        of_line = [told] if told else separators(lines[at])
        separator = separator or of_line[0]
        heading = next((one for one in of_line if _heads(lines[at], one, headings)), None)
        if heading is not None and not _is_title(lines, filled[place : place + 2], headings):
            start, separator, found = at, heading, True
            break
        if any(looks_like_uid(cell) for one in of_line for cell in cells_of(lines[at], one)):
            break  # the list has begun
    start = max(start, filled[0] if filled else len(lines))
    separator = separator or ","
    rows = list(rows_of(lines, separator, name, looks_like_uid, start=start))
    is_used = any(separator in line for line in lines[start:])
    return rows, separator if is_used else ",", found


def _is_title(lines: Sequence[str], two: Sequence[int], headings: Collection[str]) -> bool:
    """Tell whether a line that could head one column stands above the heading of several."""
    if len(two) < 2 or len(cells_of(lines[two[0]], separators(lines[two[0]])[0])) > 1:
        return False
    below = lines[two[1]]
    one = separators(below)[0]
    return len(cells_of(below, one)) > 1 and _heads(below, one, headings)


def _heads(line: str, separator: str, headings: Collection[str]) -> bool:
    return any(plain(cell) in headings for cell in cells_of(line, separator))


def _find_columns(
    rows: Sequence[Row],
    name: str,
    keys: Collection[ListKey],
    *,
    has_heading: bool,
    by_option: bool,
) -> tuple[dict[ListKey, int], bool]:
    """Return where the keys are, and whether the first line is a heading."""
    first = next((row for row in rows if not row.unclosed), rows[0])
    if has_heading:
        columns: dict[ListKey, int] = {}
        for at, cell in enumerate(first.cells):
            meaning = key_of_heading(cell)
            if meaning is None or meaning not in keys:
                continue
            if (other := columns.setdefault(meaning, at)) != at:
                which_one = _which_one(by_option=by_option)
                raise UsageError(
                    f"{name}, line {first.line}: columns {other + 1} and {at + 1}, "
                    f"{first.cells[other]!r} and {cell!r}, are both {meaning}; {which_one}"
                )
        return columns, True
    uids = [n for n, cell in enumerate(first.cells) if looks_like_uid(cell)]
    if len(uids) == 1:
        return {ListKey.STUDY_UID: uids[0]}, False
    only_one = all(len(row.cells) <= 1 or not any(row.cells[1:]) for row in rows)
    if only_one and any(character.isdigit() for character in "".join(first.cells)):
        return {ListKey.ACCESSION_NUMBER: 0}, False
    names = " or ".join(key for key in keys if key in NAMES)
    how = "write the DICOM keywords of its columns above it"
    if by_option:
        how = "say which one it is with --column (a heading, or a number from 1)"
    raise UsageError(
        f"{name}, line {first.line}: no column is called {names}, or anything like it; {how}: "
        f"{', '.join(map(repr, first.cells[:10]))}{_slips(first)}"
    )


def _which_one(*, by_option: bool) -> str:
    """Return what to do about two columns of one key."""
    if by_option:
        return "say with --column which one counts (a heading, or a number from 1)"
    return "call the one that is not to be asked for something else"


def key_of_heading(cell: str) -> ListKey | None:
    """Return the key that a heading stands for; None for any other one."""
    return _MEANINGS.get(plain(cell))


def check_headings(table: ListTable) -> None:
    """Refuse headings that are nearly a key's: whoever wrote them wants them asked for.

    Raises
    ------
    UsageError
        The message names the nearest one.
    """
    if table.heading is not None and (slips := _slips(table.heading)):
        raise UsageError(
            f"{table.name}, line {table.heading.line}{slips} If it is not to be asked for, call it "
            "something else"
        )


def _slips(heading: Row) -> str:
    """Return what headings were perhaps meant to be, for a message; "" where none is a slip."""
    for cell in heading.cells:
        name = plain(cell)
        if name in _MEANINGS or name in _KEYWORDS:
            continue
        if near := difflib.get_close_matches(name, _MEANINGS, n=1, cutoff=_ALIKE):
            return f": did you mean {_MEANINGS[near[0]]} by {cell!r}?"
    return ""


def _named_column(rows: Sequence[Row], name: str, column: str) -> tuple[dict[ListKey, int], bool]:
    first = next((row for row in rows if not row.unclosed), rows[0])
    headings = [plain(cell) for cell in first.cells]
    wanted = plain(column)
    if wanted and wanted in headings:
        at, has_heading = headings.index(wanted), True
    elif column.strip().isdecimal() and 1 <= int(column) <= max(len(row.cells) for row in rows):
        at = int(column) - 1
        cell = first.cells[at] if at < len(first.cells) else ""
        has_heading = not any(character.isdigit() for character in cell)
    else:
        raise UsageError(
            f"{name} has no column {column!r}; its first line is: "
            f"{', '.join(map(repr, first.cells[:20]))}"
        )
    meaning = _MEANINGS.get(headings[at]) if has_heading and at < len(headings) else None
    values = (row.cells[at] for row in rows[has_heading:] if at < len(row.cells))
    sample = next((value for value in values if value), "")
    is_number = meaning is ListKey.ACCESSION_NUMBER
    if meaning is ListKey.STUDY_UID or (not is_number and looks_like_uid(sample)):
        return {ListKey.STUDY_UID: at}, has_heading
    return {ListKey.ACCESSION_NUMBER: at}, has_heading
