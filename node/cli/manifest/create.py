"""`dicom-node manifest create`: which images are here, with the SHA-256 of each file."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.manifest.options import DEFAULT_THREADS, DirectoryOption, ListOption, ThreadsOption
from node.cli.manifest.remedies import remedies
from node.cli.shell import completion
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
from schema.text.words import are, counted

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.ops.manifest.create import CreateReport
    from node.ops.manifest.fault import Differing
    from node.ops.manifest.written import ManifestFiles
    from schema.project.reports import ProjectSummary


def create(
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.projects,
            help="Of the images of this project's studies.",
        ),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Of this study's images; may be repeated."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Of all images.")] = False,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The list; FILE.csv and FILE.json are written beside it.",
            dir_okay=False,
        ),
    ] = Path("manifest.sha256"),
    directory: DirectoryOption = None,
    threads: ThreadsOption = DEFAULT_THREADS,
    failed: ListOption = Path("manifest-failed.csv"),
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write down which images are here, with the SHA-256 of each file.

    `sha256sum -c FILE` takes the list as it is. Every file is read; the exit code is 1 when one is
    missing or damaged, and then nothing is written; and when a study that was complete has lost
    images, which are not in the list then.
    """
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from node.ops.manifest.written import ManifestFiles

    if sum((project is not None, bool(study), every)) != 1:
        raise UsageError("say of which images: --project NAME, --study UID or --all")
    files = ManifestFiles(output)
    needs_its_folder("--output", output)
    leave_what_is_there(files.all, force=force)
    command = _Create(
        Output(json=json, quiet=quiet), FailedList(failed.absolute()), files, force=force
    )
    work = command.run(
        configured(config),
        project=project,
        studies=tuple(study or ()),
        directory=directory,
        threads=threads,
    )
    try:
        run(work)
    finally:
        command.print()
    command.exit()


class _Create:
    """One run of `create`: its progress, its end."""

    def __init__(
        self,
        output: Output,
        failed: "FailedList[Differing]",
        files: "ManifestFiles",
        *,
        force: bool,
    ) -> None:
        self._output = output
        self._failed = failed
        self._files = files
        self._force = force
        self._report: CreateReport | None = None
        self._base = Path()
        self._written = False
        self._broken = 0
        self._summary: ProjectSummary | None = None

    async def run(
        self,
        settings: "Config",
        *,
        project: str | None,
        studies: tuple[str, ...],
        directory: Path | None,
        threads: int,
    ) -> None:
        import asyncio
        from contextlib import closing

        from node.cli.shell.start import database_of
        from node.ops.checking.home import Home
        from node.ops.checking.removed import Removed
        from node.ops.checking.selected import selected
        from node.ops.manifest.create import Creation
        from node.ops.manifest.written import ManifestFiles
        from node.ops.projects import project_named, project_summary
        from schema.dumping.drafts import Drafts

        home = Home(settings.storage.directory.absolute(), aetitle=settings.node.aetitle)
        self._base = home.directory if directory is None else directory.absolute()
        listed = self._files.listed
        async with database_of(settings) as database:
            selection = await selected(database, study_uids=studies, project=project)
            if project is not None:
                named = await project_named(database, project)
                self._summary = await project_summary(database, named)
            drafts = Drafts(listed.absolute().parent, listed.name, replace=self._force)
            with self._output.progress("manifest", unit="images") as progress, closing(drafts):
                drafts.start()
                creation = Creation(
                    database,
                    home=home,
                    base=self._base,
                    selection=selection,
                    project=project.strip() if project is not None else None,
                    threads=threads,
                    watch=lambda report: self._show(report, progress),
                    found=self._failed.add,
                )
                draft, _, _ = [drafts.path(path.name) for path in self._files.all]
                self._report = await creation.write(ManifestFiles(draft))
                if self._report.images and not self._report.wrong:
                    await asyncio.to_thread(drafts.finish)
                    self._written = True
            async for page in Removed(settings, database).pages(selection):
                self._broken += len(page)

    def print(self) -> None:
        """Print what has been done, whatever ended it."""
        listed = self._failed.finish()
        report = self._report
        if report is None:
            return
        if self._output.json:
            self._output.document(
                {
                    "images": report.images,
                    "studies": report.studies,
                    "bytes": report.bytes,
                    "wrong": report.faults,
                    "absent_studies": self._lacking[0],
                    "incomplete_studies": self._lacking[1],
                    "broken_studies": self._broken,
                    "files": self._files.all if self._written else [],
                    "sha256": report.sha256 if self._written else None,
                    "seconds": round(report.seconds, 3),
                    "list": listed,
                }
            )
            return
        if self._written:
            self._tell(report)
            return
        if report.wrong:
            wrong = ", ".join(f"{count} {kind}" for kind, count in sorted(report.faults.items()))
            self._output.note(
                f"no manifest is written: of {counted(report.selected, 'image')}, {wrong}"
            )
        else:
            self._output.note("no manifest is written: there is no image")
        self._failed.tell(self._output, listed, what="what is wrong is", name=lambda one: one.path)
        for what in remedies(report.faults):
            self._output.note(what)

    def exit(self) -> None:
        """End the command with the exit code that its report asks for."""
        from node.cli.shell.exits import Exit

        if self._broken or not self._written:
            raise typer.Exit(Exit.FAILED)

    @property
    def _lacking(self) -> tuple[int, int]:
        """How many studies of the project have no image here, and how many a part of theirs."""
        said = self._summary
        if said is None:
            return 0, 0
        return said.studies - said.received, max(0, said.found - said.complete)

    def _tell(self, report: "CreateReport") -> None:
        files = self._files
        self._output.print(
            f"{files.listed}: {counted(report.images, 'image')} of"
            f" {counted(report.studies, 'study')}, {report.bytes / 1e6:.1f} MB"
        )
        self._output.print(f"{files.details}: what each of them is")
        self._output.print(f"{files.about}: the digests of both; its own, to be kept elsewhere, is")
        self._output.print(f"  {report.sha256}")
        absent, incomplete = self._lacking
        if self._summary is not None and (absent or incomplete):
            name = shlex.quote(self._summary.name)
            studies, complete = self._summary.studies, self._summary.complete
            parts = [f"{complete} of its {counted(studies, 'study')} {are(complete)} complete"]
            if absent:
                parts.append(f"{absent} {_have(absent)} no image here")
            if (rest := studies - complete - absent) > 0:
                parts.append(f"{rest} {are(rest)} here, but not known to be complete")
            self._output.note(
                f"{', '.join(parts)}: `dicom-node project show {name} --missing` says why"
            )
        if self._broken:
            self._output.note(
                f"{counted(self._broken, 'study')} of it lost images after being complete, and what"
                " is gone is not in the list: `dicom-node verify` says which, and with --reopen"
                " has it asked for again"
            )
        where, what = shlex.quote(str(self._base)), shlex.quote(str(files.listed.absolute()))
        self._output.print(f"anybody checks the images with: cd {where} && sha256sum -c {what}")

    def _show(self, report: "CreateReport", progress: "Progress") -> None:
        speed = report.bytes / report.seconds / 1e6 if report.seconds > 0 else 0.0
        progress.update(
            report.images + report.wrong,
            total=report.selected,
            text=f"{report.wrong} wrong, {speed:.0f} MB/s",
        )


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
