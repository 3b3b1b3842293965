"""What commands print: tables for people, JSON for programs.

Results go to the standard output, everything else to the standard error stream. On a
terminal a table is drawn by rich; piped it is plain, aligned text; with ``--json`` the
standard output has one JSON document and nothing else (see `answer`). Values come from peers and
files, so they pass through `schema.text.harmless`, and markup means nothing.

The streams are parameters, so that tests need no terminal.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from node.cli.shell.answer import open_answer, write
from node.cli.shell.hints import with_hints
from node.cli.shell.progress import PlainProgress, Progress, RichProgress
from schema.text.harmless import escape, escape_lines

if TYPE_CHECKING:
    from rich.console import Console

_GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    key
        Which value of a row, and its name in JSON.
    title
        The heading; the key with spaces when empty.
    right
        Whether to align to the right, as numbers are.
    styles
        On a terminal: how a value is drawn, by the sign that it begins with.
    """

    key: str
    title: str = ""
    right: bool = False
    styles: Mapping[str, str] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """What stands above the column."""
        return self.title or self.key.replace("_", " ")


class Output:
    """Where a command's results and messages go.

    Parameters
    ----------
    json
        Whether results are printed as JSON.
    quiet
        Whether nothing is printed for people but what went wrong: no results, no progress.
    stdout, stderr
        The process's own when None.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.json = json
        self.quiet = quiet
        self._stdout = stdout
        self._stderr = stderr

    @property
    def stdout(self) -> TextIO:
        """Where results go."""
        return self._stdout if self._stdout is not None else sys.stdout

    @property
    def stderr(self) -> TextIO:
        """Where messages and progress go."""
        return self._stderr if self._stderr is not None else sys.stderr

    def print(self, text: str) -> None:
        """Print a result for people: nothing when the results are JSON."""
        if not self.json and not self.quiet:
            self.stdout.write(f"{escape_lines(with_hints(text))}\n")

    def verbatim(self, text: str) -> None:
        """Print text of our own making, such as SQL, exactly as it is."""
        self.stdout.write(text if text.endswith("\n") else f"{text}\n")

    def note(self, text: str) -> None:
        """Print a message that is no result."""
        self.stderr.write(f"{escape_lines(with_hints(text))}\n")
        self.stderr.flush()

    def remark(self, text: str) -> None:
        """Print a message that is no result, and that nobody misses who wants to hear nothing."""
        if not self.quiet:
            self.note(text)

    def document(self, value: object) -> None:
        """Give the command's result as JSON: mappings, sequences, dataclasses, dates, paths.

        It is printed when the command ends; at once where no command line is being run.
        """
        answer = open_answer()
        if answer is None:
            write(value, self.stdout)
        else:
            answer.take(value)

    def table(
        self,
        columns: Sequence[Column | str],
        rows: Sequence[Mapping[str, object]],
        *,
        title: str = "",
    ) -> None:
        """Print a table; in JSON, a list of objects with the columns' keys.

        Parameters
        ----------
        columns
            A plain string is the key of a column that has nothing special.
        rows
            Mappings from keys to values; missing ones are empty.
        title
            Stands above the table on a terminal.
        """
        wanted = [Column(key=item) if isinstance(item, str) else item for item in columns]
        if self.json:
            self.document([{column.key: row.get(column.key) for column in wanted} for row in rows])
            return
        if self.quiet:
            return
        cells = [[cell(row.get(column.key)) for column in wanted] for row in rows]
        if self.stdout.isatty():
            self._draw(wanted, cells, title)
        else:
            self.stdout.writelines(f"{line}\n" for line in _aligned(wanted, cells))

    def fields(self, values: Mapping[str, object]) -> None:
        """Print names and values below each other; in JSON, one object."""
        if self.json:
            self.document(values)
            return
        if self.quiet:
            return
        names = [name.replace("_", " ") for name in values]
        width = max(map(len, names), default=0)
        for name, value in zip(names, values.values(), strict=True):
            self.stdout.write(f"{name:{width}}{_GAP}{cell(value)}\n")

    @contextmanager
    def progress(
        self, label: str, *, unit: str = "", total: float | None = None
    ) -> Iterator[Progress]:
        """Show progress on the standard error stream while the block runs.

        A bar on a terminal; elsewhere a line every ten seconds, and one at the end.

        Parameters
        ----------
        label
            What is being done.
        unit
            What is counted, in the plural: images.
        total
            How many there will be, if known.
        """
        progress: Progress
        if self.quiet:
            progress = PlainProgress(label, unit=unit, total=total, stream=StringIO())
        elif self.stderr.isatty():
            console = self._console(self.stderr)
            progress = RichProgress(label, unit=unit, total=total, console=console)
        else:
            progress = PlainProgress(label, unit=unit, total=total, stream=self.stderr)
        with progress:
            yield progress

    def _console(self, stream: TextIO) -> "Console":
        from rich.console import Console

        return Console(file=stream, highlight=False, markup=False, emoji=False)

    def _draw(self, columns: Sequence[Column], cells: list[list[str]], title: str) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=SIMPLE_HEAD, pad_edge=False, title=escape(title) or None, title_justify="left"
        )
        for column in columns:
            table.add_column(
                column.heading, justify="right" if column.right else "left", overflow="fold"
            )
        for row in cells:
            table.add_row(
                *(
                    Text(text, style=column.styles.get(text[:1], ""))
                    for column, text in zip(columns, row, strict=True)
                )
            )
        self._console(self.stdout).print(table)


def cell(value: object) -> str:
    """Write a value as a table has it; None is a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(cell, value))
    return escape(str(value))


def _aligned(columns: Sequence[Column], cells: list[list[str]]) -> Iterator[str]:
    from rich.cells import cell_len

    lines = [[column.heading for column in columns], *cells]
    widths = [max(map(cell_len, texts)) for texts in zip(*lines, strict=True)]
    for line in lines:
        padded = []
        for column, width, text in zip(columns, widths, line, strict=True):
            space = " " * (width - cell_len(text))
            padded.append(space + text if column.right else text + space)
        yield _GAP.join(padded).rstrip()
