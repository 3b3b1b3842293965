"""`dicom-node db dump`: write the tables to files."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import (
    ConfigOption,
    ForceOption,
    JsonOption,
    QuietOption,
    leave_what_is_there,
)
from node.cli.shell.output import Column, Output

if TYPE_CHECKING:
    from node.config import Config
    from schema.dumping.dump import Dumped


class Format(StrEnum):
    """What files a dump is made of."""

    CSV = "csv"
    PARQUET = "parquet"


def dump(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="The folder for the files; made when it is missing.",
            show_default="the current one",
            file_okay=False,
        ),
    ] = Path(),
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="NAME",
            help="Only this table or view; may be repeated. All tables unless said.",
        ),
    ] = None,
    fmt: Annotated[
        Format, typer.Option("--fmt", help="CSV, or Parquet with typed columns.")
    ] = Format.CSV,
    safe: Annotated[
        bool,
        typer.Option(
            "--safe",
            help="For spreadsheets: put an apostrophe before texts that they would run as "
            "formulas. This changes the data.",
        ),
    ] = False,
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the tables to files, a file each, as they are at one moment."""
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from schema.dumping.dump import files_of

    if safe and fmt is not Format.CSV:
        raise UsageError("--safe is for CSV: no spreadsheet runs what is in a Parquet file")
    printer = Output(json=json, quiet=quiet)
    settings = configured(config)
    leave_what_is_there(files_of(output, table, fmt=fmt.value), force=force)
    files = run(_dump(settings, output, table, fmt, safe=safe, overwrite=force, printer=printer))
    printer.table(
        [
            "table",
            Column(key="rows", right=True),
            Column(key="size", title="bytes", right=True),
            Column(key="path", title="file"),
        ],
        [
            {"table": one.table, "rows": one.rows, "size": one.size, "path": str(one.path)}
            for one in files
        ],
    )


async def _dump(
    settings: "Config",
    output: Path,
    tables: list[str] | None,
    fmt: Format,
    *,
    safe: bool,
    overwrite: bool,
    printer: Output,
) -> "tuple[Dumped, ...]":
    from node.cli.shell.start import database_of
    from schema.dumping.dump import dump_database

    with printer.progress("dump", unit="rows") as progress:

        def watch(table: str, rows: int) -> None:
            progress.update(text=table)
            progress.advance(rows)

        async with database_of(settings) as database, database.session() as session:
            return await dump_database(
                session,
                output,
                tables,
                fmt=fmt.value,
                safe=safe,
                replace=overwrite,
                watch=watch,
            )
