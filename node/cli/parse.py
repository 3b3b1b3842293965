"""`dicom-node parse`: index a folder of DICOM files, or write what they say as CSV or JSON."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from node.cli.shell.failures import FailedList
from node.cli.shell.options import (
    ConfigOption,
    ForceOption,
    JsonOption,
    QuietOption,
    leave_what_is_there,
    needs_its_folder,
)
from node.cli.shell.output import Output
from schema.text.words import counted

if TYPE_CHECKING:
    import asyncio

    from node.cli.shell.progress import Progress
    from node.config import Config
    from schema import Database
    from schema.parser import ParseReport
    from schema.parsing.scan import Passed
    from schema.parsing.sink import Sink


class Form(StrEnum):
    """Where the records go."""

    SQL = "sql"
    CSV = "csv"
    JSON = "json"


def parse(
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            "-i",
            metavar="DIR",
            help="The folder, with all folders below it; or one file.",
            show_default=False,
        ),
    ],
    config: ConfigOption = None,
    form: Annotated[
        Form,
        typer.Option("--fmt", help="sql: into the configured database. csv, json: as text."),
    ] = Form.SQL,
    target: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="With csv and json: the file to write. The standard output when absent, or -.",
            show_default=False,
        ),
    ] = None,
    institution: Annotated[
        str | None,
        typer.Option(
            "--institution-name",
            metavar="NAME",
            help="Whose patients these are; empty for nobody's. Else node.institution; "
            "else unknown_YYYYMMDD.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            "-t",
            min=1,
            metavar="N",
            help="Processes that read files. As many as there are processors when absent.",
            show_default=False,
        ),
    ] = None,
    create_tables: Annotated[
        bool,
        typer.Option("--create-tables", help="Create the database and its tables when missing."),
    ] = False,
    digests: Annotated[
        bool,
        typer.Option(
            "--digests/--no-digests",
            help="Whether to compute sha256, for which files are read to their end.",
        ),
    ] = True,
    safe: Annotated[
        bool,
        typer.Option(
            "--safe",
            help="With csv, for spreadsheets: put an apostrophe before texts that they would run "
            "as formulas. This changes the data.",
        ),
    ] = False,
    failed: Annotated[
        Path,
        typer.Option(
            "--list", metavar="FILE", help="Where files that failed are listed, if any did."
        ),
    ] = Path("parse-failed.csv"),
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Index a folder of DICOM files. Run again, it goes on where it stopped.

    The exit code is 1 when a file failed; the others are indexed all the same.
    """
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from schema.parsing.scan import own_folder

    to_stdout = form is not Form.SQL and target in (None, Path("-"))
    if form is Form.SQL and target is not None:
        raise UsageError("--output goes with --fmt csv and json; sql writes to the database")
    if safe and form is not Form.CSV:
        raise UsageError("--safe goes with --fmt csv: nothing else is opened in a spreadsheet")
    if form is not Form.SQL and create_tables:
        raise UsageError(f"--create-tables goes with --fmt sql, not {form}")
    if json and to_stdout:
        raise UsageError("--json needs --output FILE: the images go to the standard output")
    if not (source.is_dir() or source.is_file()):
        what = "is neither a folder nor a file" if source.exists() else "there is no such folder"
        raise UsageError(f"--input {source}: {what}")
    if (own := own_folder(str(source.absolute()))) is not None:
        raise UsageError(
            f"--input {source}: {own} is a folder of the node's own, whose files do not stay there;"
            " `dicom-node quarantine retry` indexes what is in quarantine"
        )
    if not to_stdout:
        needs_its_folder("--output", target)
    if target is not None and target.is_file():
        leave_what_is_there([target], force=force)
    settings = configured(config)
    output = Output(json=json, quiet=quiet, stdout=sys.stderr if to_stdout else None)
    stays = "what is done stays" if form is Form.SQL or to_stdout else f"{target} stays as it was"
    command = _Command(output, FailedList(failed.absolute()), stays)
    with _opened(None if to_stdout else target, form) as stream:
        work = command.run(
            source,
            settings,
            form=form,
            stream=stream,
            institution=(settings.node.institution or None) if institution is None else institution,
            workers=threads or _processors(),
            create_tables=create_tables,
            digests=digests,
            safe=safe,
        )
        try:
            run(work)
        finally:
            command.print()
        command.exit_if_interrupted()  # here: a part of a file never gets its name
    command.exit()


class _Command:
    """One run: its progress, its end."""

    def __init__(self, output: Output, failed: "FailedList[Passed]", stays: str) -> None:
        self._output = output
        self._failed = failed
        self._stays = stays
        self._report: ParseReport | None = None

    async def run(
        self,
        source: Path,
        settings: "Config",
        *,
        form: Form,
        stream: BinaryIO,
        institution: str | None,
        workers: int,
        create_tables: bool,
        digests: bool,
        safe: bool,
    ) -> None:
        import asyncio

        from schema import Database
        from schema.parser import IndexSink, TextSink, parse

        stop = asyncio.Event()

        async def read(sink: "Sink") -> None:
            with self._output.progress("parse", unit="files") as progress:
                self._report = await parse(
                    source,
                    sink,
                    institution=institution,
                    workers=workers,
                    digests=digests,
                    watch=lambda report: self._show(report, progress),
                    failed=self._failed.add,
                    stop=stop,
                )

        self._stop_on_interrupt(stop)
        if form is not Form.SQL:
            await read(TextSink(stream, "csv" if form is Form.CSV else "json", safe=safe))
            return
        async with Database(settings.storage.resources) as database:
            await _prepare(database, create_tables=create_tables)
            await read(IndexSink(database, storage_id=await _own(settings.storage.directory)))

    def print(self) -> None:
        """Print what has been done, whatever ended it."""
        listed = self._failed.finish()
        report = self._report
        if report is None:
            return
        if self._output.json:
            self._output.document(_document(report, listed))
            return
        for line in _lines(report):
            self._output.print(line)
        self._failed.tell(
            self._output, listed, what="the failed files are", name=lambda one: one.path
        )

    def exit_if_interrupted(self) -> None:
        """End the command when it was stopped before its end."""
        from node.cli.shell.exits import Exit

        if self._report is not None and self._report.interrupted:
            raise typer.Exit(Exit.INTERRUPTED)

    def exit(self) -> None:
        """End the command with the exit code that its report asks for."""
        from node.cli.shell.exits import Exit

        if self._report is not None and self._report.failed:
            raise typer.Exit(Exit.FAILED)

    def _show(self, report: "ParseReport", progress: "Progress") -> None:
        self._report = report
        counts = {"indexed": report.indexed, "known": report.known + report.relocated}
        counts |= {"skipped": sum(report.skipped.values()), "failed": sum(report.failed.values())}
        text = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        progress.update(report.files, text=text)

    def _stop_on_interrupt(self, stop: "asyncio.Event") -> None:
        import asyncio

        def ask() -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            self._output.note(f"stopping; {self._stays}. Control-C again ends at once.")
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ask)


@contextmanager
def _opened(target: Path | None, form: Form) -> Iterator[BinaryIO]:
    if target is None or form is Form.SQL:
        yield sys.stdout.buffer
        return
    from schema.dumping.drafts import draft_of

    with draft_of(target) as draft, draft.open("wb") as stream:
        yield stream


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def _own(directory: Path) -> str | None:
    """Return the id of the node's storage directory; None where there is none that can be read."""
    import asyncio

    from node.errors import StorageError
    from node.storage.identity import storage_id

    try:
        return await asyncio.to_thread(storage_id, directory)
    except StorageError:  # it may be another user's
        return None


async def _prepare(database: "Database", *, create_tables: bool) -> None:
    from schema import SchemaMissing

    if create_tables:
        await database.initialize()
        return
    try:
        await database.check()
    except SchemaMissing as error:
        raise SchemaMissing(f"{error}, or repeat this with --create-tables") from error


def _document(report: "ParseReport", listed: Path | None) -> dict[str, object]:
    return {
        "input": report.source,
        "institution": report.institution,
        "files": report.files,
        "indexed": report.indexed,
        "known": report.known,
        "relocated": report.relocated,
        "skipped": report.skipped,
        "failed": report.failed,
        "list": listed,
        "failed_list": listed,  # as it was called once
        "seconds": round(report.seconds, 3),
        "files_per_second": round(report.files_per_second, 1),
        "interrupted": report.interrupted,
    }


def _lines(report: "ParseReport") -> Iterator[str]:
    from node.cli.shell.progress import duration

    skipped, failed = sum(report.skipped.values()), sum(report.failed.values())
    parts = [f"{report.indexed} indexed", f"{report.known} known"]
    if report.relocated:
        parts.append(f"{report.relocated} relocated")
    parts += [f"{skipped} skipped", f"{failed} failed"]
    speed = f"{report.files_per_second:.0f} files/s"
    yield (
        f"{report.source}: {counted(report.files, 'file')} in {duration(report.seconds)}, {speed}:"
        f" {', '.join(parts)}"
    )
    for name, counts in (("skipped", report.skipped), ("failed", report.failed)):
        if counts:
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            yield f"{name}: " + ", ".join(f"{count} {reason}" for reason, count in ordered)
