"""`dicom-node verify`: read the indexed files again, and compare them with the index."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.dates import day
from node.cli.shell.failures import FailedList
from node.cli.shell.options import ConfigOption, JsonOption, QuietOption
from node.cli.shell.output import Output
from schema.text.words import counted, counted_are

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.ops.checking.reopening import Reopened, Reopening
    from node.ops.checking.report import Finding
    from node.ops.checking.verify import Faulty, Verification, VerifyReport

_THREADS = 4
_SHOWN = 5


def verify(
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Only this study's images; may be repeated."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.projects,
            help="Only the images of this project's studies.",
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=day,
            metavar="DATE",
            help="Only images received on this day (UTC) or later.",
        ),
    ] = None,
    sample: Annotated[
        float,
        typer.Option(
            min=0.001, max=100.0, metavar="PERCENT", help="Only so many of them, chosen at random."
        ),
    ] = 100.0,
    fill: Annotated[
        bool, typer.Option("--fill", help="Store the digest of files whose row has none.")
    ] = False,
    reopen: Annotated[
        bool,
        typer.Option(
            "--reopen",
            help="Put damaged files into quarantine, and ask for their studies again with the "
            "next move.",
        ),
    ] = False,
    threads: Annotated[
        int, typer.Option("--threads", "-t", min=1, metavar="N", help="Files read at once.")
    ] = _THREADS,
    failed: Annotated[
        Path,
        typer.Option(
            "--list", metavar="FILE", help="Where wrong files are listed, if there are any."
        ),
    ] = Path("verify-failed.csv"),
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read the indexed files again: size, SHA-256 and header, compared with the index.

    What was found of each study is written down, for `dicom-node report`; nothing else is changed,
    but with --fill and --reopen. The exit code is 1 when a file is missing, changed or unreadable,
    or images of a complete study are gone with their rows.
    """
    from node.cli.shell.start import configured, run

    command = _Command(Output(json=json, quiet=quiet), FailedList(failed.absolute()))
    work = command.run(
        configured(config),
        studies=tuple(study or ()),
        project=project,
        since=since,
        threads=threads,
        fill=fill,
        reopen=reopen,
        share=sample / 100,
    )
    try:
        run(work)
    finally:
        command.print()
    command.exit()


class _Command:
    """One run: its progress, its end."""

    def __init__(self, output: Output, failed: "FailedList[Faulty | Finding]") -> None:
        self._output = output
        self._failed = failed
        self._verification: Verification | None = None
        self._reopening: Reopening | None = None
        self._removed = 0
        self._complete = False

    async def run(
        self,
        settings: "Config",
        *,
        studies: tuple[str, ...],
        project: str | None,
        since: datetime | None,
        threads: int,
        fill: bool,
        reopen: bool,
        share: float,
    ) -> None:
        from node.cli.shell.start import database_of
        from node.ops.checking.home import Home
        from node.ops.checking.removed import Removed, finding_of
        from node.ops.checking.reopening import Reopening
        from node.ops.checking.selected import selected
        from node.ops.checking.verify import Verification

        async with database_of(settings) as database:
            selection = await selected(database, study_uids=studies, project=project, since=since)
            if reopen:
                self._reopening = Reopening(settings, database)
            with self._output.progress("verify", unit="files") as progress:
                self._verification = Verification(
                    database,
                    home=Home(settings.storage.directory.absolute(), aetitle=settings.node.aetitle),
                    selection=selection,
                    threads=threads,
                    fill=fill,
                    share=share,
                    watch=lambda report: _show(report, progress),
                    found=self._failed.add,
                    set_right=self._reopening.set_right if self._reopening else None,
                )
                await self._verification.run()
            if since is None and share >= 1.0:
                removed = Removed(settings, database)
                async for page in removed.pages(selection):
                    self._removed += len(page)
                    for one in page:
                        self._failed.add(finding_of(one))
                    if self._reopening is not None:
                        self._reopening.note(await removed.reopen(page))
        self._complete = True

    def print(self) -> None:
        """Print what has been done, whatever ended it."""
        listed = self._failed.finish()
        if self._verification is None:
            return
        report = self._verification.report()
        if self._output.json:
            document = _document(report, listed, complete=self._complete)
            document["removed"] = self._removed
            reopened = self._reopening.report() if self._reopening is not None else None
            self._output.document(document | {"reopened": reopened})
            return
        for line in _lines(report):
            self._output.print(line)
        if self._complete and not (report.images or self._removed):
            self._output.note("nothing was there to check: the index has no such image")
        if self._removed:
            were = "was" if self._removed == 1 else "were"
            studies = f"{counted(self._removed, 'study')} {were} complete"
            self._output.print(f"{studies}, and images are not here any more")
        if self._reopening is not None:
            _tell_reopened(self._reopening.report(), self._output)
        if not self._complete:
            self._output.print("this is not all: it ended early")
        self._failed.tell(
            self._output,
            listed,
            what="what is wrong is" if self._removed else "the wrong files are",
            name=_name,
        )

    def exit(self) -> None:
        """End the command with the exit code that its report asks for."""
        from node.cli.shell.exits import Exit

        if self._removed or (self._verification is not None and self._verification.report().wrong):
            raise typer.Exit(Exit.FAILED)


def _name(one: "Faulty | Finding") -> str:
    from node.ops.checking.verify import Faulty

    if isinstance(one, Faulty):
        return one.path or one.image_uid
    return f"{one.why}: {one.path}"


def _tell_reopened(done: "Reopened", output: Output) -> None:
    output.print(
        f"put into quarantine: {done.set_aside}; files that are gone: {done.gone}; left as they "
        f"are: {done.left}"
    )
    if done.studies:
        output.print(
            "asked for again with the next `dicom-node move`, what is held once it is released:"
            f" {', '.join(done.studies[:_SHOWN])}"
            + (f" and {len(done.studies) - _SHOWN} more" if len(done.studies) > _SHOWN else "")
        )
    if done.unasked:
        listed = ", ".join(done.unasked[:_SHOWN])
        output.note(f"no peer was ever asked for {listed}: send these images again")


def _show(report: "VerifyReport", progress: "Progress") -> None:
    speed = report.bytes / report.seconds / 1e6 if report.seconds > 0 else 0.0
    text = f"{report.wrong} wrong, {speed:.0f} MB/s"
    progress.update(report.seen, total=report.images, text=text)


def _document(report: "VerifyReport", listed: Path | None, *, complete: bool) -> dict[str, object]:
    return {
        "checked": report.checked,
        "correct": report.correct,
        "wrong": report.faults,
        "undigested": report.undigested,
        "filled": report.filled,
        "without_file": report.without_file,
        "elsewhere": report.elsewhere,
        "recorded": report.recorded,
        "verified": report.verified,
        "unrecorded": report.unrecorded,
        "refusal": report.refusal or None,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "list": listed,
        "failed_list": listed,  # as it was called once
        "complete": complete,
    }


def _lines(report: "VerifyReport") -> list[str]:
    from node.cli.shell.progress import duration

    seconds = report.seconds or 1.0
    wrong = ", ".join(f"{count} {kind}" for kind, count in sorted(report.faults.items()))
    lines = [
        f"{counted(report.checked, 'file')} in {duration(report.seconds)}, "
        f"{report.checked / seconds:.0f} files/s, {report.bytes / seconds / 1e6:.0f} MB/s: "
        f"{report.correct} correct, {wrong or '0 wrong'}"
    ]
    if report.undigested:
        done = f"{report.filled} stored" if report.filled else "--fill stores theirs"
        lines.append(f"{report.undigested} of them had no digest to compare with: {done}")
    if report.without_file:
        lines.append(f"{counted_are(report.without_file, 'image')} indexed without a file")
    if report.elsewhere:
        lines.append(f"{counted(report.elsewhere, 'file')} of other nodes cannot be seen from here")
    if report.recorded:
        lines.append(
            f"written down of {counted(report.recorded, 'study')}: {report.verified} verified"
        )
    if report.unrecorded:
        lines.append(f"not written down of {counted(report.unrecorded, 'study')}: {report.refusal}")
    return lines
