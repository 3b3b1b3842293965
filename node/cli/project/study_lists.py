"""Read lists of studies as people have them: CSV from a spreadsheet, or one key per line.

Pure: bytes in, entries and problems out. A list is found by the heading of its column, above
which titles may stand, or by a look at its first value. What a spreadsheet has damaged is a
problem with its line number; leading zeros that it has taken away cannot be seen.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from node.cli.project.csv_rows import (
    SPACES,
    Row,
    cells_of,
    lines_of,
    rows_of,
    separators,
    told_separator,
)
from node.errors import UsageError
from schema.errors import InvalidProject
from schema.project.entries import check_accession_number, check_study_uid

_UID_HEADINGS = frozenset(
    ("studyinstanceuid", "studyuid", "studyinstanceuids", "studyuids", "0020000d", "uid", "siuid")
)
_ACCESSION_HEADINGS = frozenset(
    ("accessionnumber", "accession", "accessionno", "accessionnr", "accno", "accnr", "00080050")
)
_HEADINGS = _UID_HEADINGS | _ACCESSION_HEADINGS
_TITLES = 10
"""Lines among which the heading is."""
_LOOKS_LIKE_UID = re.compile(r"(2\.25|[0-2](\.[0-9]+){2,})\.[0-9]+")
_KEPT_AS_TEXT = re.compile(r'="(.*)"')
_SCIENTIFIC = re.compile(r"[0-9]+([.,][0-9]+)?[eE]\+[0-9]+")
_MADE_FLOAT = re.compile(r"[0-9]+\.0")
_FAULT = re.compile(r"#(#+|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!|DIV/0!)", re.IGNORECASE)

Check = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class LineProblem:
    """What is wrong in a line, counted from 1."""

    line: int
    message: str


@dataclass(slots=True)
class Listed:
    """What a list names, and what of it could not be understood.

    Attributes
    ----------
    summary
        What was taken for what, to be looked at before it is believed.
    """

    study_uids: list[str] = field(default_factory=list)
    accession_numbers: list[str] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)
    summary: str = ""


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
    wanted = "" if (column or "").strip().isdecimal() else _plain(column or "")
    rows, found = _rows(_decoded(data), name, {wanted} if wanted else _HEADINGS)
    if wanted and not found:
        rows, found = _rows(_decoded(data), name, _HEADINGS)
    if not rows:
        raise UsageError(f"{name} is empty")
    columns, has_heading = (
        _find_columns(rows, name, has_heading=found)
        if column is None
        else _named_column(rows, name, column)
    )
    listed = Listed()
    for row in rows[has_heading:]:
        _take(row, columns, listed)
    listed.summary = _summary(listed, columns)
    if found and rows[0].line > 1:
        listed.summary += f"; the heading is in line {rows[0].line}"
    return listed


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # keys are ASCII; other columns are not looked at


def _rows(text: str, name: str, headings: Collection[str]) -> tuple[list[Row], bool]:
    """Return the rows from the heading on, or all of them; and whether there is a heading.

    Titles may stand above the heading: it is looked for in the first lines that are not empty.
    """
    lines = lines_of(text)
    filled = [at for at, line in enumerate(lines) if line.strip(SPACES)]
    if not filled:
        return [], False
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
        if any(_is_uid(cell) for one in of_line for cell in cells_of(lines[at], one)):
            break  # the list has begun
    start = max(start, filled[0] if filled else len(lines))
    return list(rows_of(lines, separator or ",", name, _is_uid, start=start)), found


def _is_title(lines: Sequence[str], two: Sequence[int], headings: Collection[str]) -> bool:
    """Tell whether a line that could head one column stands above the heading of several."""
    if len(two) < 2 or len(cells_of(lines[two[0]], separators(lines[two[0]])[0])) > 1:
        return False
    below = lines[two[1]]
    one = separators(below)[0]
    return len(cells_of(below, one)) > 1 and _heads(below, one, headings)


def _heads(line: str, separator: str, headings: Collection[str]) -> bool:
    return any(_plain(cell) in headings for cell in cells_of(line, separator))


def _find_columns(rows: list[Row], name: str, *, has_heading: bool) -> tuple[_Columns, bool]:
    """Return where the keys are, and whether the first line is a heading."""
    first = next((row for row in rows if not row.unclosed), rows[0])
    if has_heading:
        headings = [_plain(cell) for cell in first.cells]
        uid = next((n for n, text in enumerate(headings) if text in _UID_HEADINGS), None)
        number = next((n for n, text in enumerate(headings) if text in _ACCESSION_HEADINGS), None)
        return _Columns(study_uid=uid, accession_number=number), True
    uids = [n for n, cell in enumerate(first.cells) if _is_uid(cell)]
    if len(uids) == 1:
        return _Columns(study_uid=uids[0]), False
    only_one = all(len(row.cells) <= 1 or not any(row.cells[1:]) for row in rows)
    if only_one and any(character.isdigit() for character in "".join(first.cells)):
        return _Columns(accession_number=0), False
    raise UsageError(
        f"{name}, line {first.line}: no column is called StudyInstanceUID or AccessionNumber, "
        f"or anything like it; say which one it is with --column (a heading, or a number from 1): "
        f"{', '.join(map(repr, first.cells[:10]))}"
    )


def _named_column(rows: list[Row], name: str, column: str) -> tuple[_Columns, bool]:
    first = next((row for row in rows if not row.unclosed), rows[0])
    headings = [_plain(cell) for cell in first.cells]
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


def _take(row: Row, columns: _Columns, listed: Listed) -> None:
    if row.unclosed:
        listed.problems.append(
            LineProblem(row.line, "a quote is opened here that is not closed in its cell")
        )
        return
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


def _summary(listed: Listed, columns: _Columns) -> str:
    """Say how many studies a list names, by what, and where that stands."""
    parts = [
        f"{len(keys):,} {what}{'' if len(keys) == 1 else 's'}, from column {at + 1}"
        for keys, what, at in (
            (listed.study_uids, "Study UID", columns.study_uid),
            (listed.accession_numbers, "accession number", columns.accession_number),
        )
        if keys and at is not None
    ]
    return "; ".join(parts) or "no study"


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
    return (kept[1].strip(SPACES) if kept else value).removeprefix("'")


def _plain(heading: str) -> str:
    """Return a heading's letters and digits, so that all its spellings are one."""
    return re.sub(r"[^a-z0-9]", "", heading.lower())
