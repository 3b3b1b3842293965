"""`dicom-node manifest verify`: what has become of the images of a manifest."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.manifest.options import DEFAULT_THREADS, DirectoryOption, ListOption, ThreadsOption
from node.cli.manifest.remedies import remedies
from node.cli.shell.failures import FailedList
from node.cli.shell.options import ConfigOption, JsonOption, QuietOption
from node.cli.shell.output import Output
from schema.text.words import counted

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.ops.manifest.check import CheckReport
    from node.ops.manifest.fault import Differing

_LINE = 65536
"""Bytes of a line that are looked at: a path is shorter."""


def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The list, as `create` has written it.")
    ],
    directory: DirectoryOption = None,
    digest: Annotated[
        str | None,
        typer.Option(
            metavar="SHA256",
            help="What `create` has told: proves that nobody has changed the manifest.",
            show_default=False,
        ),
    ] = None,
    threads: ThreadsOption = DEFAULT_THREADS,
    failed: ListOption = Path("manifest-failed.csv"),
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check a manifest: itself, each file that it lists, and what the index has by now.

    With --directory the files there are checked, and no database is needed. Exit code 1 when
    anything differs.
    """
    from node.cli.shell.start import configured, run

    _check(file, directory, digest)
    settings = configured(config) if directory is None or config is not None else None
    command = _Verify(Output(json=json, quiet=quiet), FailedList(failed.absolute()))
    work = command.run(
        file.absolute(), settings, directory=directory, digest=digest, threads=threads
    )
    try:
        run(work)
    finally:
        command.print()
    command.exit()


def _check(file: Path, directory: Path | None, digest: str | None) -> None:
    """Refuse, with a `UsageError`, what nothing could be compared with."""
    from node.errors import UsageError
    from node.ops.manifest.written import ManifestFiles

    if not file.is_file():
        raise UsageError(f"{file}: there is no such file; `manifest create` writes one")
    if not ManifestFiles(file).about.exists() and not _has_a_line(file):
        raise UsageError(
            f"{file} is no manifest: its first line is no line of sha256sum, and there is no "
            f"{ManifestFiles(file).about.name} beside it; `manifest create` writes both"
        )
    if directory is not None and not directory.is_dir():
        raise UsageError(f"--directory {directory}: there is no such folder")
    if digest is not None and not re.fullmatch("[0-9A-Fa-f]{64}", digest.strip()):
        raise UsageError(
            f"--digest {digest}: a SHA-256 has 64 hexadecimal digits, as `manifest create` told it"
        )


def _has_a_line(file: Path) -> bool:
    """Tell whether a file begins as a list of digests does."""
    from node.ops.manifest.written import read_line

    with file.open("rb") as opened:
        try:
            read_line(opened.readline(_LINE))
        except ValueError:
            return False
    return True


class _Verify:
    """One run of `verify`: its progress, its end."""

    def __init__(self, output: Output, failed: "FailedList[Differing]") -> None:
        self._output = output
        self._failed = failed
        self._report: CheckReport | None = None
        self._indexed = False
        self._complete = False

    async def run(
        self,
        file: Path,
        settings: "Config | None",
        *,
        directory: Path | None,
        digest: str | None,
        threads: int,
    ) -> None:
        from node.cli.shell.start import database_of
        from node.ops.manifest.check import Check
        from node.ops.manifest.index import compare_with_index, selection_of
        from node.ops.manifest.written import ManifestFiles

        files = ManifestFiles(file)
        check = Check(
            files,
            threads=threads,
            watch=lambda report: self._show(report, progress),
            found=self._failed.add,
        )
        about = await check.read_about(digest.strip().lower() if digest else None)
        with self._output.progress("verify", unit="images") as progress:
            try:
                if directory is not None or settings is None:
                    await check.run((directory or Path()).absolute())
                else:
                    async with database_of(settings) as database:
                        base = settings.storage.directory.absolute()
                        if about is not None:
                            base = Path(about.directory) if about.directory else base
                            selection = await selection_of(database, about)
                            await compare_with_index(check, files, database, selection)
                            self._indexed = True
                        await check.run(base)
                self._complete = True
            finally:
                self._report = check.report()

    def print(self) -> None:
        """Print what has been found, whatever ended it."""
        listed = self._failed.finish()
        report = self._report
        if report is None:
            return
        if self._output.json:
            self._output.document(
                {
                    "images": report.images,
                    "whole": report.whole,
                    "wrong": report.faults,
                    "index": self._indexed,
                    "bytes": report.bytes,
                    "seconds": round(report.seconds, 3),
                    "list": listed,
                    "complete": self._complete,
                }
            )
            return
        wrong = [f"{count} {kind}" for kind, count in sorted(report.faults.items())]
        self._output.print(
            f"{counted(report.images, 'image')}, {report.bytes / 1e6:.1f} MB: "
            + ", ".join([f"{report.whole} whole", *wrong])
        )
        if self._indexed and not {"added", "gone"} & set(report.faults):
            self._output.print("the index has the same images")
        if not self._complete:
            self._output.print("this is not all: it ended early")
        self._failed.tell(
            self._output, listed, what="what differs is", name=lambda one: f"{one.why}: {one.path}"
        )
        if not report.images:
            self._output.note("no line of it is an image's: has `manifest create` written it?")
        elif self._indexed:
            for what in remedies(report.faults):
                self._output.note(what)

    def exit(self) -> None:
        """End the command with the exit code that its report asks for."""
        from node.cli.shell.exits import Exit

        if self._report is not None and self._report.wrong:
            raise typer.Exit(Exit.FAILED)

    def _show(self, report: "CheckReport", progress: "Progress") -> None:
        speed = report.bytes / report.seconds / 1e6 if report.seconds > 0 else 0.0
        progress.update(
            report.images, total=report.listed, text=f"{report.wrong} wrong, {speed:.0f} MB/s"
        )
