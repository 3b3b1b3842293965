"""CSV as people have it, as rows: whatever the separator, and whatever a quote swallows.

Pure: text in, rows out. A row may go over several lines where a quoted cell does. A quote that is
not closed would make one cell of all lines behind it: such a line is a row of its own, `unclosed`,
and the lines behind it are read as if it were not there.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from node.errors import UsageError

SPACES = " \t\r\n\0\xa0\ufeff"
"""What is no part of a value at its ends."""

_SEPARATORS = "\t;,"
_TOLD = re.compile(r'"?sep=([,;\t])"?', re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_MOST_LINES = 200
"""Lines that one row may have: a cell with more is one whose quote is not closed."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row, and the line where it begins, counted from 1.

    Attributes
    ----------
    cells
        Its values, without the spaces around them.
    written
        The same as they were written, spaces included.
    unclosed
        Whether it has a quote without an end; then it has no cells, and its line is all that was
        written.
    """

    line: int
    cells: list[str]
    written: list[str]
    unclosed: bool = False


def told_separator(line: str) -> str | None:
    """Return the separator that a line of Excel's tells, `sep=;`; None when it is no such line."""
    told = _TOLD.fullmatch(line.strip(SPACES))
    return told[1] if told else None


def separators(line: str) -> list[str]:
    """Return what may separate the cells of a line, the most likely first."""
    unquoted = re.sub(r'"[^"]*"', "", line)
    return sorted(_SEPARATORS, key=unquoted.count, reverse=True)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, with their ends."""
    return _LINE.findall(text)


def rows_of(
    lines: Sequence[str], separator: str, name: str, is_key: Callable[[str], bool], *, start: int
) -> Iterator[Row]:
    """Yield the lines that have something in a cell, without the spaces around values.

    Parameters
    ----------
    name
        What the list is called in messages.
    is_key
        Tells a value that stands for a study by its look: a line that has one is no part of
        another line's cell.
    start
        The first line to read, counted from 0.

    Raises
    ------
    UsageError
        It is no CSV.
    """
    at = start
    alone = None
    while at < len(lines):
        try:
            cells, taken = _read(lines[at : at + _MOST_LINES], separator)
        except csv.Error as error:
            raise UsageError(f"{name}, line {at + 1}: this is no CSV: {error}") from error
        swallowed = lines[at + 1 : at + taken]
        if swallowed and (
            alone
            or not _is_whole(lines[at : at + taken], separator)
            or any(is_key(cell) for line in swallowed for cell in cells_of(line, separator))
        ):
            yield Row(at + 1, [], [lines[at].rstrip("\r\n")], unclosed=True)
            at += 1
            continue
        stripped = [cell.strip(SPACES) for cell in cells]
        if any(stripped):
            alone = len(stripped) == 1 if alone is None else alone
            yield Row(at + 1, stripped, stripped if stripped == cells else cells)
        at += taken


def _read(lines: Sequence[str], separator: str) -> tuple[list[str], int]:
    """Return the cells of the first row, and how many lines it has."""
    reader = csv.reader(lines, delimiter=separator)
    cells = next(reader)
    return cells, reader.line_num


def _is_whole(lines: Sequence[str], separator: str) -> bool:
    """Tell whether every quote of a row is closed, and closes a cell."""
    try:
        list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error:
        return False
    return True


def cells_of(line: str, separator: str) -> list[str]:
    """Return what seems to be in the cells of a single line, wherever its quotes are."""
    return [cell.strip(SPACES + '"') for cell in line.split(separator)]
