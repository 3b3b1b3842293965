"""`dicom-node report`: the reconciliation sheet of a migration, a line for each study."""

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.options import (
    ConfigOption,
    ForceOption,
    JsonOption,
    leave_what_is_there,
    needs_its_folder,
)
from node.cli.shell.output import Output
from schema.text.words import counted

if TYPE_CHECKING:
    from typing import TextIO

    from node.cli.accounting.written import CsvSheet, PageSheet, TableSheet
    from node.config import Config
    from node.ops.accounting.sheet import SheetTotals


class SheetFormat(StrEnum):
    """As what a sheet is written."""

    CSV = "csv"
    HTML = "html"
    TABLE = "table"


def report(
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.projects,
            help="Only the studies of this project; also those that no peer has answered.",
        ),
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option(
            metavar="PEER",
            autocompletion=completion.peers,
            help="Only the studies that this peer has, or had.",
        ),
    ] = None,
    form: Annotated[
        SheetFormat,
        typer.Option("--fmt", help="CSV, one page of HTML, or a table."),
    ] = SheetFormat.TABLE,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where it is written; else to the standard output.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="How many missing images are named of a study."),
    ] = 10,
    patients: Annotated[
        bool,
        typer.Option("--patients", help="Name the patients: ID, name and accession number."),
    ] = False,
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write a line for each study that was found: expected, here, missing, and why, and what next.

    All lines are as the database is at one moment, which the totals name. With --json the standard
    output has the totals, and the lines go into FILE alone.
    """
    from node.cli.accounting.totals import lines_of
    from node.cli.shell.start import configured, run

    if output is not None:
        leave_what_is_there([output], force=force)
        needs_its_folder("--output", output)
    settings = configured(config)
    printer = Output(json=json)
    with ExitStack() as stack:
        drafts = None
        stream: TextIO | None = None if json else printer.stdout
        if output is not None:
            from schema.dumping.drafts import Drafts

            drafts = stack.enter_context(
                Drafts(output.absolute().parent, output.name, replace=force)
            )
            stream = stack.enter_context(
                drafts.path(output.name).open("w", encoding="utf-8", newline="")
            )
        what = f" of {project}" if project is not None else ""
        what += f" at {peer}" if peer is not None else ""
        totals = run(
            _write(
                settings,
                stream,
                form,
                project=project,
                peer=peer,
                limit=limit,
                patients=patients,
                what=what,
            )
        )
        if stream is not None and output is not None:
            stream.close()
    if peer is not None and project is None and peer not in settings.peers:
        printer.note(f"{peer} is no peer of the configuration; the sheet has what is known of it")
    if json:
        printer.document({"totals": totals, "format": form, "file": output})
        return
    if output is not None:
        printer.print(f"{output}: {counted(totals.studies, 'study')}")
    if output is not None or form is SheetFormat.CSV:
        for line in lines_of(totals, what=what):
            printer.note(line)


async def _write(
    settings: "Config",
    stream: "TextIO | None",
    form: SheetFormat,
    *,
    project: str | None,
    peer: str | None,
    limit: int,
    patients: bool,
    what: str,
) -> "SheetTotals":
    from contextlib import ExitStack, aclosing, closing

    from node.cli.accounting.rows import COLUMNS, PATIENTS, row_of
    from node.cli.accounting.totals import lines_of
    from node.cli.shell.start import database_of
    from node.ops.accounting.sheet import Sheet

    columns = (*COLUMNS, *(PATIENTS if patients else ()))
    with ExitStack() as stack:
        async with database_of(settings) as database:
            sheet = Sheet(settings, database, project=project, peer=peer)
            await sheet.check()
            written = None
            if stream is not None:
                written = stack.enter_context(closing(_sheet(form, stream, columns)))
            async with aclosing(sheet.lines()) as pages:
                async for page in pages:
                    if written is None:
                        continue
                    for line in page:
                        written.add(row_of(line, settings.peers, uids=limit))
        if written is not None:
            written.finish(lines_of(sheet.totals, what=what))
    return sheet.totals


def _sheet(
    form: SheetFormat, stream: "TextIO", columns: tuple[str, ...]
) -> "CsvSheet | PageSheet | TableSheet":
    from node.cli.accounting.written import CsvSheet, PageSheet, TableSheet

    if form is SheetFormat.CSV:
        return CsvSheet(stream, columns)
    if form is SheetFormat.HTML:
        return PageSheet(stream, columns)
    return TableSheet(stream, columns)
