"""A sheet as a file: CSV as it comes, or a page or a table with the totals on top.

No more than a line is in memory: what has the totals on top is kept in an unnamed file first.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape as in_html
from tempfile import TemporaryFile
from typing import TextIO

from node.cli.accounting.rows import Row
from schema.text.harmless import escape, in_list

_GAP = "  "
_LONGEST = 60
"""Characters of a cell of a table; a page and CSV have all."""

_IN_TABLE = {
    "study_uid": "study",
    "study_date": "date",
    "modalities": "modalities",
    "peers": "peers",
    "state": "state",
    "expected_images": "expected",
    "here_images": "here",
    "verified": "verified",
    "missing_images": "missing",
    "reason": "reason",
    "next": "next",
    "next_on": "next on (UTC)",
    "verified_on": "verified on (UTC)",
}
_RIGHT = frozenset(
    (
        *("expected_images", "here_images", "missing_images", "attempts"),
        "verified",
        "unsound_images",
    )
)

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #111; background: #fff }
h1 { font-size: 1.3em }
table { border-collapse: collapse; font-size: 12px; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25em .5em; border-bottom: 1px solid #ccc }
th { position: sticky; top: 0; background: #eee }
td.n { text-align: right; font-variant-numeric: tabular-nums }
td.u { font-family: ui-monospace, monospace; font-size: 10px; overflow-wrap: anywhere }
tr.open td:nth-child(4) { font-weight: bold }
@media print {
  @page { size: A4 landscape; margin: 1cm }
  body { margin: 0; font-size: 10px }
  table { font-size: 8px }
  th { position: static }
  thead { display: table-header-group }
  tr { break-inside: avoid }
}
"""


def csv_line(values: Sequence[str]) -> str:
    """Return a line of CSV (RFC 4180) that no spreadsheet runs, and that is one line."""
    return ",".join(_quoted(in_list(value)) for value in values) + "\r\n"


def _quoted(cell: str) -> str:
    if any(one in cell for one in ',"') or cell != cell.strip():
        return '"' + cell.replace('"', '""') + '"'
    return cell


class CsvSheet:
    """CSV: a line for each study, below the names of the columns."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._file = file
        self._columns = columns
        file.write(csv_line(columns))

    def add(self, row: Row) -> None:
        """Write a study."""
        self._file.write(csv_line([row[name] for name in self._columns]))

    def finish(self, totals: Sequence[str]) -> None:
        """End it: CSV has no totals."""

    def close(self) -> None:
        """Let go of what was kept, which is nothing."""


class _Kept:
    """Rows that are kept until their totals are known; their texts have been escaped."""

    def __init__(self) -> None:
        self._file = TemporaryFile("w+", encoding="utf-8", prefix="sheet-")  # noqa: SIM115
        self.rows = 0

    def add(self, cells: Sequence[str]) -> None:
        self._file.write("\x1f".join(cells) + "\n")
        self.rows += 1

    def __iter__(self) -> Iterator[list[str]]:
        self._file.seek(0)
        for line in self._file:
            yield line.rstrip("\n").split("\x1f")

    def close(self) -> None:
        self._file.close()


class TableSheet:
    """An aligned table, below the totals."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        extra = {name: name.replace("_", " ") for name in columns if name.startswith("patient")}
        self._titles: Mapping[str, str] = {**_IN_TABLE, **extra}
        self._file = file
        self._kept = _Kept()
        self._widths = [len(title) for title in self._titles.values()]

    def add(self, row: Row) -> None:
        """Take a study."""
        from rich.cells import cell_len

        cells = [_cut(escape(row[name])) or "-" for name in self._titles]
        self._widths = [
            max(width, cell_len(cell)) for width, cell in zip(self._widths, cells, strict=True)
        ]
        self._kept.add(cells)

    def finish(self, totals: Sequence[str]) -> None:
        """Write the totals, and the table."""
        self._file.writelines(f"{escape(line)}\n" for line in totals)
        if not self._kept.rows:
            return
        self._file.write("\n" + self._line(list(self._titles.values())))
        for cells in self._kept:
            self._file.write(self._line(cells))

    def close(self) -> None:
        """Let go of what was kept."""
        self._kept.close()

    def _line(self, cells: Sequence[str]) -> str:
        from rich.cells import cell_len

        padded = []
        for name, width, cell in zip(self._titles, self._widths, cells, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if name in _RIGHT else cell + space)
        return _GAP.join(padded).rstrip() + "\n"


class PageSheet:
    """A page of HTML that needs nothing else: no script, no style, no picture from elsewhere."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._file = file
        self._columns = columns
        self._kept = _Kept()

    def add(self, row: Row) -> None:
        """Take a study."""
        self._kept.add([escape(row[name]) for name in self._columns])

    def finish(self, totals: Sequence[str]) -> None:
        """Write the page."""
        write = self._file.write
        write('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n')
        write('<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; ')
        write("style-src 'unsafe-inline'\">\n")
        write(f"<title>Studies</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n")
        write("<h1>Studies: what was found, what is here, what is missing</h1>\n")
        for line in totals:
            write(f"<p>{in_html(escape(line))}</p>\n")
        write("<p>Moments are in UTC.</p>\n<table>\n<thead><tr>")
        for name in self._columns:
            write(f"<th>{in_html(name.replace('_', ' '))}</th>")
        write("</tr></thead>\n<tbody>\n")
        for cells in self._kept:
            row = dict(zip(self._columns, cells, strict=True))
            write('<tr class="open">' if row["whole"] == "no" else "<tr>")
            for name, cell in row.items():
                write(f"<td{_kind(name)}>{in_html(cell)}</td>")
            write("</tr>\n")
        write("</tbody>\n</table>\n</body>\n</html>\n")

    def close(self) -> None:
        """Let go of what was kept."""
        self._kept.close()


def _kind(name: str) -> str:
    if name in _RIGHT:
        return ' class="n"'
    return ' class="u"' if name in ("study_uid", "missing_uids") else ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
