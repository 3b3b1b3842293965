"""The result of a list: each line as it was, and what became of it.

The file itself is the record of how far a find has come. It is only ever appended to, in the order
of the list, and is on the disk before the next questions are put. When it is opened again, a last
line that was not written to its end is cut off; the others have to be those of the list as it is.
"""

import contextlib
import csv
import fcntl
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from node.cli.lists.csv_rows import Row
from node.cli.lists.table import ListTable
from node.errors import UsageError
from node.ops.finding.singles.lines import LineAnswer, LineOutcome
from schema.text.harmless import in_list

_COLUMNS = (
    "find_line",
    "find_peer",
    "find_outcome",
    "find_count",
    "find_studies",
    "find_message",
)
_END = b"\r\n"
_LONGEST = 1 << 20
"""Bytes that a row may have."""


class ResultFile:
    """The result of a list, begun or gone on with, with its separator; a context manager.

    Attributes
    ----------
    done
        How many rows of the list have a result.
    counts
        How many of each outcome.

    Raises
    ------
    UsageError
        There is a file that is no result of this list as it is, or another process writes it.
    """

    def __init__(self, path: Path, table: ListTable, peer: str) -> None:
        self._path = path
        self._table = table
        self._peer = peer
        heading = [] if table.heading is None else table.heading.written
        width = max([len(heading), *(len(row.written) for row in table.rows)])
        names = [*heading, *(f"column {n + 1}" for n in range(len(heading), width))]
        self._width = width
        self._heading = [*names, *_COLUMNS]
        self.done = 0
        self.counts: Counter[LineOutcome] = Counter()

    def __enter__(self) -> Self:
        self._file = self._path.open("a+b")
        try:
            self._lock()
            end = self._read()
            self._file.truncate(end)
            self._file.seek(end)
            if not end:
                self._write(self._heading)
            self.flush()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, row: Row, answer: LineAnswer) -> None:
        """Write what became of the next line."""
        found = (str(len(answer.study_uids)), "\\".join(answer.study_uids))
        told = (self._peer, answer.outcome.value, *found, answer.message)
        self._write([*self._cells(row), str(row.line), *map(in_list, told)])
        self.done += 1
        self.counts[answer.outcome] += 1

    def flush(self) -> None:
        """Have all that was written on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def _cells(self, row: Row) -> list[str]:
        return [*row.written, *[""] * (self._width - len(row.written))]

    def _written(self, cells: Sequence[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._table.separator).writerow(cells)
        return text.getvalue().encode("utf-8", errors="replace")

    def _write(self, cells: Sequence[str]) -> None:
        self._file.write(self._written(cells))

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"--result {self._path}: another process is writing it") from error

    def _read(self) -> int:
        """Take what is there; return where the last whole row ends."""
        self._file.seek(0)
        end = 0
        rows = iter(self._table.rows)
        for number, (cells, position) in enumerate(_whole_rows(self._file, self._table.separator)):
            if not number:
                if cells != self._heading:
                    raise UsageError(
                        f"--result {self._path}: this file is there already, and is no result of "
                        "this list; name another one"
                    )
            else:
                self._take(cells, next(rows, None))
            end = position
        self._file.seek(end)
        rest = self._file.read(_LONGEST)
        if rest and not self._is_torn(rest, next(rows, None), begun=end > 0):
            raise UsageError(
                f"--result {self._path}: this file is there already, and is not as a find writes "
                "it; name another one"
            )
        return end

    def _is_torn(self, rest: bytes, row: Row | None, *, begun: bool) -> bool:
        """Tell whether what is behind the last whole row is the beginning of the next one."""
        if not begun:
            return self._written(self._heading).startswith(rest)
        if row is None:
            return False
        known = self._written([*self._cells(row), str(row.line), in_list(self._peer), ""])
        known = known.removesuffix(_END)
        return known.startswith(rest) or (
            rest.startswith(known) and b"\n" not in rest[len(known) :]
        )

    def _take(self, cells: Sequence[str], row: Row | None) -> None:
        line, peer, outcome = cells[self._width : self._width + 3]
        if row is None or [*self._cells(row), str(row.line)] != list(cells[: self._width + 1]):
            raise UsageError(
                f"--result {self._path}: line {line} of the list is not what it was when this "
                "result was begun; name another one"
            )
        if peer != in_list(self._peer):
            raise UsageError(f"--result {self._path}: this is what {peer} has answered")
        self.done += 1
        with contextlib.suppress(ValueError):
            self.counts[LineOutcome(outcome)] += 1


def _whole_rows(file: Iterator[bytes], separator: str) -> Iterator[tuple[list[str], int]]:
    """Yield the rows that were written to their end, and where that is."""
    read = 0
    last = b""

    def lines() -> Iterator[str]:
        nonlocal read, last
        for last in file:
            read += len(last)
            yield last.decode("utf-8", errors="replace")

    with contextlib.suppress(csv.Error):  # the last one ends within a quote
        for cells in csv.reader(lines(), delimiter=separator, strict=True):
            if not last.endswith(_END):
                return
            yield cells, read
