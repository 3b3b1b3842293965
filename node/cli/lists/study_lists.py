"""The studies that a list names for a project: UIDs and accession numbers, and what is wrong.

Pure: bytes in, entries and problems out.
"""

from dataclasses import dataclass, field

from node.cli.lists.csv_rows import Row
from node.cli.lists.table import NAMES, ListKey, ListTable, key_of_heading, read_table
from node.cli.lists.values import accession_number_in, study_uid_in
from schema.errors import InvalidKey, InvalidProject
from schema.text.words import are, counted


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
    study_uids, accession_numbers
        Each once.
    lines
        Where each of them stands first: the line, counted from 1.
    repeated
        Lines that name what a line above has named.
    summary
        What was taken for what, to be looked at before it is believed.
    """

    study_uids: list[str] = field(default_factory=list)
    accession_numbers: list[str] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    summary: str = ""


def read_list(
    data: bytes,
    *,
    name: str,
    column: str | None = None,
    comments: bool = False,
    by_option: bool = False,
) -> Listed:
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
    comments
        Whether lines that begin with # are none.
    by_option
        Whether the command has `--column`.

    Raises
    ------
    UsageError
        It is empty, no CSV, or has no such column, or two of a key, or nothing below its heading.
    """
    table = read_table(data, name=name, column=column, comments=comments, by_option=by_option)
    listed = Listed()
    keys: dict[ListKey, dict[str, None]] = {ListKey.STUDY_UID: {}, ListKey.ACCESSION_NUMBER: {}}
    for row in table.rows:
        _take(row, table, keys, listed)
    listed.study_uids = list(keys[ListKey.STUDY_UID])
    listed.accession_numbers = list(keys[ListKey.ACCESSION_NUMBER])
    listed.summary = _summary(listed, table)
    return listed


def _take(row: Row, table: ListTable, keys: dict[ListKey, dict[str, None]], listed: Listed) -> None:
    if row.unclosed:
        listed.problems.append(
            LineProblem(row.line, "a quote is opened here that is not closed in its cell")
        )
        return
    for key, read in (
        (ListKey.STUDY_UID, study_uid_in),
        (ListKey.ACCESSION_NUMBER, accession_number_in),
    ):
        at = table.columns.get(key)
        value = row.cells[at] if at is not None and at < len(row.cells) else ""
        if not value:
            continue
        try:
            value = read(value)
        except (InvalidProject, InvalidKey) as error:
            listed.problems.append(LineProblem(row.line, str(error)))
            return
        listed.repeated += value in keys[key]
        keys[key][value] = None
        listed.lines.setdefault(value, row.line)
        return
    listed.problems.append(LineProblem(row.line, _why_none(row, table)))


def _why_none(row: Row, table: ListTable) -> str:
    """Say why a line without a UID and an accession number names no study."""
    cells, headings = row.cells, [] if table.heading is None else table.heading.cells
    keys = [key_of_heading(heading) for cell, heading in zip(cells, headings, strict=False) if cell]
    others = [key for key in keys if key is not None and key not in NAMES]
    if not others:
        return "no study is named here: the cell is empty"
    return (
        f"no study is named here, only {', '.join(others)}: {' and '.join(table.columns)} "
        f"{are(len(table.columns))} empty; `dicom-node find PEER --list` asks for such lines, and "
        "--patient-id adds the known studies of a patient"
    )


def _summary(listed: Listed, table: ListTable) -> str:
    """Say how many studies a list names, by what, and where that stands."""
    parts = [
        f"{len(keys):,} {what}{'' if len(keys) == 1 else 's'}, from column {at + 1}"
        for keys, what, at in (
            (listed.study_uids, "Study UID", table.columns.get(ListKey.STUDY_UID)),
            (
                listed.accession_numbers,
                "accession number",
                table.columns.get(ListKey.ACCESSION_NUMBER),
            ),
        )
        if keys and at is not None
    ] or ["no study"]
    if listed.repeated:
        parts.append(f"{counted(listed.repeated, 'line')} repeated")
    if table.heading is not None and table.heading.line > 1:
        parts.append(f"the heading is in line {table.heading.line}")
    return "; ".join(parts)
