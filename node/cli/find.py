"""`dicom-node find`: ask a peer which studies it has, and record them."""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import ConfigOption, JsonOption, PeerArgument
from node.cli.output import Output

if TYPE_CHECKING:
    from node.config import Config
    from node.dicom.query import StudyQuery, Window
    from node.ops.find import FindReport, WindowResult


def find(
    peer: PeerArgument,
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=["%Y-%m-%d", "%Y%m%d"],
            metavar="DATE",
            help="The first study date, as 2024-01-31.",
        ),
    ] = None,
    to: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y%m%d"],
            metavar="DATE",
            help="The last study date; today when only --from is given.",
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option(metavar="7d", help="Study dates from so long ago until today: 7d, 2w."),
    ] = None,
    modality: Annotated[
        str, typer.Option(metavar="CT", help="Only studies that have this modality.")
    ] = "",
    patient_id: Annotated[
        str, typer.Option(metavar="ID", help="Only this patient's; * and ? are wildcards.")
    ] = "",
    study_uid: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Only this Study Instance UID; may be repeated."),
    ] = None,
    accession: Annotated[
        str, typer.Option(metavar="NUMBER", help="Only this accession number.")
    ] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Ask a peer which studies it has, day by day, and record them in the database.

    The exit code is 1 when the peer did not answer for every day.
    """
    from node.cli.exits import Exit
    from node.cli.start import configured, run
    from node.dicom.query import StudyQuery
    from node.errors import UsageError

    query = StudyQuery(
        window=_window(first, to, last),
        modality=modality.strip(),
        patient_id=patient_id.strip(),
        accession_number=accession.strip(),
        study_uids=tuple(uid.strip() for uid in study_uid or ()),
    )
    if query == StudyQuery():
        raise UsageError(
            "say what to find: --last 7d, --from DATE --to DATE, --patient-id, --study-uid "
            "or --accession; a PACS is never asked for everything at once"
        )
    settings = configured(config)
    settings.peer(peer)
    report = run(_find(settings, peer, query, Output(json=json)))
    _print(report, Output(json=json))
    if report.failures:
        raise typer.Exit(Exit.FAILED)


def _window(first: datetime | None, to: datetime | None, last: str | None) -> "Window":
    from node.config import Duration
    from node.dicom.query import Window
    from node.errors import UsageError

    today = date.today()  # noqa: DTZ011 - study dates are the hospital's local ones
    if last is not None:
        if first or to:
            raise UsageError("--last goes without --from and --to")
        try:
            days = int(Duration.parse(last) // 86400)
            start = today - timedelta(days=days)
        except (ValueError, OverflowError) as error:
            raise UsageError(f"--last {last}: {error}") from error
        return Window(start=start, end=today)
    if first is None and to is None:
        return Window()
    if first is None:
        raise UsageError("--to needs --from: without it the days cannot be counted")
    start, end = first.date(), to.date() if to else today
    if end < start:
        raise UsageError(f"--to {end} is before --from {start}")
    return Window(start=start, end=end)


async def _find(settings: "Config", peer: str, query: "StudyQuery", output: Output) -> "FindReport":
    from node.dicom.query import day_windows
    from node.ops.find import find as ask
    from node.ops.peers import peer_of
    from schema import Database

    total = len(day_windows(query.window))
    async with Database(settings.storage.resources) as database:
        await database.check()
        with output.progress(f"find at {peer}", unit="windows", total=total) as progress:
            found = failed = 0

            def watch(result: "WindowResult") -> None:
                nonlocal found, failed
                found += result.found
                failed += result.outcome != "complete"
                progress.update(
                    text=f"{found} studies" + (f", {failed} windows failed" if failed else "")
                )
                progress.advance()

            return await ask(
                database,
                peer_of(settings.peer(peer)),
                query,
                node=settings.node.aetitle,
                watch=watch,
            )


def _print(report: "FindReport", output: Output) -> None:
    counts = report.counts()
    if output.json:
        output.document(
            {
                "peer": report.peer,
                **counts,
                "failures": [
                    {
                        "window": str(failure.window),
                        "outcome": failure.outcome,
                        "message": failure.message,
                    }
                    for failure in report.failures
                ],
            }
        )
        return
    output.print(
        f"{report.peer}: {counts['found']} studies found, {counts['new']} of them new, "
        f"{counts['changed']} changed"
    )
    if counts["outside"]:
        output.note(
            f"{counts['outside']} answers were left out: {report.peer} sent them although they "
            "are not what was asked for"
        )
    if report.failures:
        output.note(
            f"{len(report.failures)} of {len(report.windows)} windows failed: what {report.peer} "
            "has there is not known"
        )
        for failure in report.failures[:10]:
            output.note(f"  {failure.window}: {failure.outcome}: {failure.message}")
        if len(report.failures) > 10:
            output.note(f"  and {len(report.failures) - 10} more, in the table find_windows")
