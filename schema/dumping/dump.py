"""Writing the tables to files: `dump_database`.

Everything is read in one snapshot and streamed, so that a dump of millions of rows is
consistent and needs little memory. Files get their names when all of them are complete
(`drafts`): a dump that was broken off leaves what was there before.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from schema.dumping.csvfile import CsvFile
from schema.dumping.drafts import Drafts
from schema.dumping.parquetfile import ParquetFile, require_pyarrow
from schema.engine.either import asynchronous
from schema.errors import UnknownTable
from schema.tables.metadata import all_tables, all_views
from schema.tables.rows import plain_columns, snapshot

CSV = "csv"
PARQUET = "parquet"
FORMATS = (CSV, PARQUET)

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Dumped:
    """A table that was written.

    Attributes
    ----------
    table, rows
        Its name, and how many rows it has.
    path, size
        The file, and its size in bytes.
    """

    table: str
    rows: int
    path: Path
    size: int


class _File(Protocol):
    def write(self, rows: Sequence[Sequence[Any]]) -> None: ...
    def close(self) -> None: ...


@asynchronous
async def dump_database(
    session: AsyncSession,
    output: str | os.PathLike[str] | None = None,
    tables: Iterable[str] | None = None,
    *,
    fmt: str = CSV,
    safe: bool = False,
    replace: bool = True,
    watch: Callable[[str, int], None] = lambda _table, _rows: None,
) -> tuple[Dumped, ...]:
    """Write tables to files, a file each: ``<table>.csv`` or ``<table>.parquet``.

    Parameters
    ----------
    session
        All tables are read as they are at one moment. On PostgreSQL the session must not have
        run a statement in its transaction, or each table is read as it is when its turn comes.
    output
        The folder; made when it is missing. None means the current one.
    tables
        Names of tables and views; None means all tables and no view.
    fmt
        ``csv`` or ``parquet``.
    safe
        CSV for spreadsheets: texts that would be run as formulas get an apostrophe in front.
        This changes the data.
    replace
        Whether files of an earlier dump are replaced.
    watch
        Called with a table's name and the number of its rows that were written last.

    Returns
    -------
    tuple[Dumped, ...]
        One for each table, in the order in which they depend on each other.

    Raises
    ------
    UnknownTable
        Also a ValueError; lists the tables. Nothing was written.
    DriverMissing
        For ``parquet``, when pyarrow is not installed.
    ValueError
        When the format is unknown, or `safe` is asked of another one than CSV.
    FileExistsError
        Without `replace`, when a file is there that would be. Nothing was written.
    OSError
        When a file cannot be written. What was there before is still there.
    """
    wanted = _tables(tables)
    if fmt not in FORMATS:
        raise ValueError(f"{fmt!r} is no format: use one of {', '.join(FORMATS)}")
    if safe and fmt != CSV:
        raise ValueError("safe is for CSV: no spreadsheet runs what is in a Parquet file")
    if fmt == PARQUET:
        await asyncio.to_thread(require_pyarrow)
    folder = Path(output) if output is not None else Path()
    counts: dict[str, int] = {}
    with Drafts(folder, "dump", replace=replace) as drafts:
        parts = {table.name: drafts.path(f"{table.name}.{fmt}") for table in wanted}
        async with snapshot(session) as connection:
            for table in wanted:
                file = await asyncio.to_thread(_open, parts[table.name], table, fmt, safe)
                counts[table.name] = await _write(connection, table, file, watch)
        await asyncio.to_thread(drafts.finish)
    return tuple(
        [
            Dumped(
                table=name,
                rows=count,
                path=(path := folder / f"{name}.{fmt}"),
                size=path.stat().st_size,
            )
            for name, count in counts.items()
        ]
    )


def files_of(
    output: str | os.PathLike[str], tables: Iterable[str] | None = None, *, fmt: str = CSV
) -> tuple[Path, ...]:
    """Return the files that a dump of these tables writes.

    Raises
    ------
    UnknownTable
        Also a ValueError; lists the tables.
    """
    return tuple(Path(output) / f"{table.name}.{fmt}" for table in _tables(tables))


def _tables(names: Iterable[str] | None) -> list[Table]:
    tables, views = all_tables(), all_views()
    if names is None:
        return tables
    if isinstance(names, str):
        names = [names]
    known = {table.name: table for table in (*tables, *views)}
    wanted = set(names)
    if unknown := sorted(wanted - known.keys()):
        raise UnknownTable(
            f"no table {', '.join(map(repr, unknown))}; there are the tables"
            f" {', '.join(table.name for table in tables)}, and the views"
            f" {', '.join(view.name for view in views)}"
        )
    return [table for name, table in known.items() if name in wanted]


async def _write(
    connection: AsyncConnection, table: Table, file: _File, watch: Callable[[str, int], None]
) -> int:
    """Write a table's rows and close the file; return how many there were."""
    query = select(*plain_columns(table)).order_by(*table.primary_key.columns)
    count = 0
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, file.close)
        result = await connection.stream(query, execution_options={"yield_per": _PAGE})
        stack.push_async_callback(result.close)
        async for rows in result.partitions():
            await asyncio.to_thread(file.write, rows)
            count += len(rows)
            watch(table.name, len(rows))
    return count


def _open(path: Path, table: Table, fmt: str, safe: bool) -> _File:
    return CsvFile(path, table, safe=safe) if fmt == CSV else ParquetFile(path, table)
