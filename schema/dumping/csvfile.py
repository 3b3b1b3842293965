"""Tables as CSV that everything reads back: RFC 4180, UTF-8, NULL told apart from "".

Python's own writer cannot write NULL and an empty string differently before Python 3.12.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from schema.header.values import clean_text
from schema.text.harmless import in_spreadsheet

_QUOTED = re.compile(r'[",\r\n\x00]|^\s|\s\Z|^\\\.\Z')
"""What needs quotes: delimiters, space that a reader may strip, and psql's end of data."""


class CsvFile:
    """A CSV file that is being written, with its header.

    NULL is an empty field, an empty text is ``""``; `COPY … CSV` of PostgreSQL reads both back
    as they were. Dates and times are ISO 8601, with a space between the two.

    Parameters
    ----------
    path
        Where; what is there is replaced.
    table
        Whose rows these are.
    safe
        Put an apostrophe before texts that a spreadsheet would run as a formula.
    """

    def __init__(self, path: Path, table: Table, *, safe: bool = False) -> None:
        self._write_field: Callable[[Any], str] = _safe_field if safe else _field
        self._file = path.open("w", encoding="utf-8", newline="", errors="replace")
        self._file.write(_line(_field(column.name) for column in table.columns))

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows."""
        field = self._write_field
        self._file.writelines([_line(map(field, row)) for row in rows])

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def _line(fields: Iterable[str]) -> str:
    return ",".join(fields) + "\r\n"


def _field(value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    if value is None:
        return ""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _safe_field(value: Any) -> str:  # noqa: ANN401
    return _field(in_spreadsheet(value) if isinstance(value, str) else value)


def _quoted(text: str) -> str:
    if text and not _QUOTED.search(text):
        return text
    return '"' + clean_text(text).replace('"', '""') + '"'
