"""Read lists of studies as people have them: CSV from a spreadsheet, or one key per line.

Pure: bytes in, entries and problems out. A list is found by the heading of its column, or
by a look at its first value. What a spreadsheet has damaged is a problem with its line
number; leading zeros that it has taken away cannot be seen.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from node.errors import UsageError
from schema.errors import InvalidProject
from schema.project.entries import check_accession_number, check_study_uid

_UID_HEADINGS = frozenset(
    ("studyinstanceuid", "studyuid", "studyinstanceuids", "studyuids", "0020000d", "uid", "siuid")
)
_ACCESSION_HEADINGS = frozenset(
    ("accessionnumber", "accession", "accessionno", "accessionnr", "accno", "accnr", "00080050")
)
_LOOKS_LIKE_UID = re.compile(r"[0-2](\.[0-9]+){3,}")
_KEPT_AS_TEXT = re.compile(r'="(.*)"')
_SCIENTIFIC = re.compile(r"[0-9]+([.,][0-9]+)?[eE]\+[0-9]+")
_MADE_FLOAT = re.compile(r"[0-9]+\.0")
_FAULT = re.compile(r"#(#+|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!|DIV/0!)", re.IGNORECASE)
_SPACES = " \t\r\n\0\xa0\ufeff"

Check = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class LineProblem:
    """What is wrong in a line, counted from 1."""

    line: int
    message: str


@dataclass(slots=True)
class Listed:
    """What a list names, and what of it could not be understood."""

    study_uids: list[str] = field(default_factory=list)
    accession_numbers: list[str] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Where the keys are, counted from 0; None where there is no such column."""

    study_uid: int | None = None
    accession_number: int | None = None


def read_list(data: bytes, *, name: str, column: str | None = None) -> Listed:
    """Read the studies that a list names.

    Parameters
    ----------
    data
        CSV with commas, semicolons or tabs, in UTF-8, UTF-16 or an 8-bit encoding.
    name
        What it is called in messages.
    column
        The heading of the column, or its number from 1; looked for when None. Where a row
        has both a UID and an accession number, the UID counts.

    Raises
    ------
    UsageError
        It is empty, no CSV, or has no such column.
    """
    rows = list(_rows(_decoded(data), name))
    if not rows:
        raise UsageError(f"{name} is empty")
    columns, has_heading = _find_columns(rows, name, column)
    listed = Listed()
    for row in rows[has_heading:]:
        _take(row, columns, listed)
    return listed


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # keys are ASCII; other columns are not looked at


def _rows(text: str, name: str) -> Iterator[_Row]:
    """Yield the lines that have something in a cell, without the spaces around values."""
    first = next((line for line in text.splitlines() if line.strip(_SPACES)), "")
    told = re.fullmatch(r'"?sep=([,;\t])"?', first.strip(" "), re.IGNORECASE)
    unquoted = re.sub(r'"[^"]*"', "", first)
    separator = told[1] if told else max("\t;,", key=unquoted.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    line = 1
    try:
        for cells in reader:
            stripped = [cell.strip(_SPACES) for cell in cells]
            if any(stripped) and not (told and stripped[0].lower().startswith("sep=")):
                yield _Row(line, stripped)
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{name}, line {line}: this is no CSV: {error}") from error


def _find_columns(rows: list[_Row], name: str, column: str | None) -> tuple[_Columns, bool]:
    """Return where the keys are, and whether the first line is a heading."""
    first = rows[0]
    headings = [_plain(cell) for cell in first.cells]
    if column is not None:
        return _named_column(rows, headings, name, column)
    uid = next((n for n, text in enumerate(headings) if text in _UID_HEADINGS), None)
    number = next((n for n, text in enumerate(headings) if text in _ACCESSION_HEADINGS), None)
    if uid is not None or number is not None:
        return _Columns(study_uid=uid, accession_number=number), True
    uids = [n for n, cell in enumerate(first.cells) if _is_uid(cell)]
    if len(uids) == 1:
        return _Columns(study_uid=uids[0]), False
    only_one = all(len(row.cells) == 1 or not any(row.cells[1:]) for row in rows)
    if only_one and any(character.isdigit() for character in first.cells[0]):
        return _Columns(accession_number=0), False
    raise UsageError(
        f"{name}, line {first.line}: no column is called StudyInstanceUID or AccessionNumber, "
        f"or anything like it; say which one it is with --column (a heading, or a number from 1): "
        f"{', '.join(map(repr, first.cells[:10]))}"
    )


def _named_column(
    rows: list[_Row], headings: list[str], name: str, column: str
) -> tuple[_Columns, bool]:
    first = rows[0]
    wanted = _plain(column)
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
    heading = headings[at] if has_heading and at < len(headings) else ""
    values = (row.cells[at] for row in rows[has_heading:] if at < len(row.cells))
    sample = next((value for value in values if value), "")
    named_uid = heading in _UID_HEADINGS
    if named_uid or (heading not in _ACCESSION_HEADINGS and _is_uid(sample)):
        return _Columns(study_uid=at), has_heading
    return _Columns(accession_number=at), has_heading


def _take(row: _Row, columns: _Columns, listed: Listed) -> None:
    for at, check, keys in (
        (columns.study_uid, check_study_uid, listed.study_uids),
        (columns.accession_number, check_accession_number, listed.accession_numbers),
    ):
        value = row.cells[at] if at is not None and at < len(row.cells) else ""
        if not value:
            continue
        try:
            keys.append(_key(value, check))
        except InvalidProject as error:
            listed.problems.append(LineProblem(row.line, str(error)))
        return
    listed.problems.append(LineProblem(row.line, "no study is named here: the cell is empty"))


def _key(value: str, check: Check) -> str:
    """Return what a cell means.

    Raises
    ------
    InvalidProject
        It is damaged, or not what its column should have.
    """
    value = _as_text(value)
    if _SCIENTIFIC.fullmatch(value):
        raise InvalidProject(
            f"{value!r} is what a spreadsheet has made of a long number, and its digits are "
            "lost; export the column as text"
        )
    if _FAULT.fullmatch(value):
        raise InvalidProject(f"{value!r} is what a spreadsheet shows in place of a value")
    if check is check_accession_number and _MADE_FLOAT.fullmatch(value):
        raise InvalidProject(
            f"{value!r} is what a program has made of a number, and leading zeros may be lost; "
            "export the column as text"
        )
    return check(value)


def _is_uid(value: str) -> bool:
    return _LOOKS_LIKE_UID.fullmatch(_as_text(value)) is not None


def _as_text(value: str) -> str:
    """Return a value without what keeps a spreadsheet from making a number of it."""
    kept = _KEPT_AS_TEXT.fullmatch(value)
    return (kept[1].strip(_SPACES) if kept else value).removeprefix("'")


def _plain(heading: str) -> str:
    """Return a heading's letters and digits, so that all its spellings are one."""
    return re.sub(r"[^a-z0-9]", "", heading.lower())
