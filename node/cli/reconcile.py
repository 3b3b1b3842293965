"""`dicom-node reconcile`: bring the index and the storage directory together."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.failures import FailedList
from node.cli.shell.options import ConfigOption, JsonOption, QuietOption
from node.cli.shell.output import Column, Output
from schema.text.words import counted, verb

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.ops.checking.reconcile import Reconciliation
    from node.ops.checking.report import Finding, ReconcileReport

_DONE = {
    "unindexed": "index them",
    "relocated": "let their rows name them",
    "duplicate": "nothing: their bytes are indexed",
    "spare": "nothing: copy each over the damaged one, or `dicom-node verify --reopen`",
    "conflict": "a row of the quarantine each",
    "undecodable": "a row of the quarantine each",
    "unindexable": "a row of the quarantine each",
    "changed": "nothing: bring the originals back, or `dicom-node verify --reopen`",
    "unreadable": "nothing: look at the disk, and at permissions",
    "stray": "a row of the quarantine each",
    "missing": "keep their rows, open their studies for the next move",
    "lost": "nothing: they are waited for",
    "elsewhere": "nothing: they are not ours",
    "unclaimed": "nothing: --claim unknown, if they are ours",
    "unkept": "nothing: bring them back",
    "removed": "open these studies for the next move",
}


def reconcile(
    fix: Annotated[
        bool, typer.Option("--fix", help="Do what it says it would do; without it nothing is done.")
    ] = False,
    claim: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Take the rows of the storage directory with this id for ours; "
            "unknown: those that say no id.",
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", "-t", min=1, metavar="N", help="Processes that read files.")
    ] = 2,
    listed: Annotated[
        Path, typer.Option("--list", metavar="FILE", help="Where all that was found is listed.")
    ] = Path("reconcile.csv"),
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare the index with the storage directory, both ways. No file and no row is removed.

    The exit code is 1 when something is left that somebody should look at.
    """
    from node.cli.shell.start import configured, run

    command = _Command(Output(json=json, quiet=quiet), FailedList(listed.absolute()))
    work = command.run(configured(config), fix=fix, claim=claim, workers=threads)
    try:
        run(work)
    finally:
        command.print()
    command.exit()


class _Command:
    """One run: its progress, its end."""

    def __init__(self, output: Output, listed: "FailedList[Finding]") -> None:
        self._output = output
        self._listed = listed
        self._reconciliation: Reconciliation | None = None
        self._complete = False

    async def run(self, settings: "Config", *, fix: bool, claim: str | None, workers: int) -> None:
        from node.cli.shell.start import database_of
        from node.ops.checking.reconcile import Reconciliation

        async with database_of(settings) as database:
            with self._output.progress("reconcile", unit="files and rows") as progress:
                self._reconciliation = Reconciliation(
                    settings,
                    database,
                    fix=fix,
                    claim=claim,
                    workers=workers,
                    watch=lambda report: _show(report, progress),
                    found=self._listed.add,
                )
                await self._reconciliation.run()
        self._complete = True

    def print(self) -> None:
        """Print what was found and done, whatever ended it."""
        listed = self._listed.finish()
        if self._reconciliation is None:
            return
        report = self._reconciliation.report()
        if self._output.json:
            self._output.document(_document(report, listed, complete=self._complete))
            return
        if self._complete or report.files or report.rows or report.found:
            self._print(report)
            if not self._complete:
                self._output.print("this is not all: it ended early")
        self._listed.tell(
            self._output,
            listed,
            what="what disagrees is",
            name=lambda one: f"{one.why}: {one.path}",
        )

    def exit(self) -> None:
        """End the command with the exit code that its report asks for."""
        from node.cli.shell.exits import Exit

        if self._reconciliation is not None and self._reconciliation.report().left:
            raise typer.Exit(Exit.FAILED)

    def _print(self, report: "ReconcileReport") -> None:
        output = self._output
        if report.found:
            output.table(
                [
                    "found",
                    Column(key="count", right=True),
                    Column(key="fix", title="done" if report.fixed else "--fix would"),
                ],
                [
                    {"found": kind, "count": count, "fix": _DONE[kind]}
                    for kind, count in report.found.items()
                ],
            )
        if report.absent is not None:
            output.print(
                f"nothing has been received here: there is no storage directory {report.absent}"
            )
        disagree = sum(report.found.values())
        compared = f"{counted(report.files, 'file')} and {counted(report.rows, 'row')} compared"
        if disagree:
            compared += f": {disagree} {verb(disagree, 'disagree')}"
        elif self._complete:
            compared += ": they agree"
        if report.absent is None or report.rows:
            output.print(compared)
        for count, one, what in (
            (report.skipped, "file", "no image"),
            (report.waiting, "file", "about to be indexed by the node"),
            (report.outside, "indexed file", "outside the storage directory"),
            (report.claimed, "row", "this storage directory's from now on"),
            (len(report.reopened), "complete study", "asked for again by the next move"),
        ):
            if count:
                output.print(f"{counted(count, one)}: {what}")


def _show(report: "ReconcileReport", progress: "Progress") -> None:
    found = ", ".join(f"{count} {kind}" for kind, count in report.found.items())
    progress.update(report.files + report.rows, text=found)


def _document(
    report: "ReconcileReport", listed: Path | None, *, complete: bool
) -> dict[str, object]:
    return {
        "fix": report.fixed,
        "files": report.files,
        "rows": report.rows,
        "found": report.found,
        "left": report.left,
        "skipped": report.skipped,
        "waiting": report.waiting,
        "outside": report.outside,
        "claimed": report.claimed,
        "reopened": report.reopened,
        "list": listed,
        "complete": complete,
    }
