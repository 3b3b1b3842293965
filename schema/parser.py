"""Index a folder of DICOM files: from what lies on a disk to rows.

Files are read by processes of their own and kept in batches, of which each is a transaction:
whatever ends a run, what was committed stays, and the next run begins behind it. How it works
is told in `schema.parsing.run`.

    from schema.parser import parse_dir2sql

    report = await parse_dir2sql("/data/study", "sqlite:///var/node.db", nb_threads=2)
"""

import os
from asyncio import Event
from collections.abc import Callable
from datetime import date
from os import PathLike

from schema.engine.database import Database
from schema.engine.source import Source
from schema.parsing.extract import Reading
from schema.parsing.index import IndexSink
from schema.parsing.report import ParseReport, Verdict
from schema.parsing.run import Run
from schema.parsing.scan import Passed, Why, own_folder
from schema.parsing.sink import Sink
from schema.parsing.text import TextSink

__all__ = [
    "IndexSink",
    "ParseReport",
    "Passed",
    "TextSink",
    "Verdict",
    "Why",
    "parse",
    "parse_dir2sql",
]


async def parse_dir2sql(
    src: str | PathLike[str],
    conn_uri: Source,
    institution_name: str | None = None,
    nb_threads: int = 1,
    create_tables: bool = False,
) -> ParseReport:
    """Index the DICOM files of a folder in a database.

    Parameters
    ----------
    src
        The folder, with all folders below it; or one file.
    conn_uri
        The database's URL, or whatever else `Database` accepts.
    institution_name
        The institution whose patients these are; `unknown_YYYYMMDD`, of today, when None.
    nb_threads
        How many processes read files.
    create_tables
        Create the database and its tables where there are none.

    Returns
    -------
    ParseReport
        What became of the files. One that cannot be read never stops the others.

    Raises
    ------
    FileNotFoundError
        When there is no `src`.
    SchemaMissing, SchemaBehind, SchemaAhead
        When the database does not have the tables that this version needs.
    DatabaseUnavailable
        When the database is away, or locked for too long; what was committed stays.
    """
    source = _absolute(src)
    async with Database(conn_uri) as db:
        await (db.initialize() if create_tables else db.check())
        sink = IndexSink(db)
        return await parse(source, sink, institution=institution_name, workers=nb_threads)


async def parse(
    source: str | PathLike[str],
    sink: Sink,
    *,
    institution: str | None = None,
    workers: int = 1,
    digests: bool = True,
    watch: Callable[[ParseReport], None] = lambda _: None,
    failed: Callable[[Passed], None] = lambda _: None,
    stop: Event | None = None,
) -> ParseReport:
    """Read the DICOM files of a folder, and give their records to a sink.

    Parameters
    ----------
    source
        The folder, with all folders below it; or one file.
    sink
        `IndexSink` for a database, `TextSink` for CSV and JSON.
    institution
        The institution whose patients these are; `unknown_YYYYMMDD`, of today, when None.
    workers
        How many processes read files.
    digests
        Whether `sha256` is computed; every file is read to its end for it.
    watch
        Called now and then with what has been done so far: committed, where it is a database.
    failed
        Called for each file that should be in the index and is not.
    stop
        Set, it ends the run early: what has been read is kept, what has not been is left.

    Raises
    ------
    FileNotFoundError
        When there is no `source`.
    ValueError
        When `workers` is below 1, or `source` lies in a folder that a node keeps for itself
        (`.spool`, `.quarantine`): its files go away again.
    WorkerUnavailable
        When no process can be started.
    """
    if workers < 1:
        raise ValueError("workers: at least 1 is needed")
    path = _absolute(source)
    if (own := own_folder(path)) is not None:
        raise ValueError(f"{own} is a folder of the node's own: its files do not stay there")
    if institution is None:
        institution = f"unknown_{date.today():%Y%m%d}"  # noqa: DTZ011 - as the calendar here says
    reading = Reading(institution=institution, digests=digests)
    run = Run(path, sink, reading, workers=workers, watch=watch, failed=failed, stop=stop)
    async with sink:
        return await run.run()


def _absolute(source: str | PathLike[str]) -> str:
    path = os.path.abspath(source)  # noqa: PTH100 - links in it stay as they were given
    os.stat(path)  # noqa: PTH116
    return path
