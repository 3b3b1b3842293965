"""`dicom-node find`: ask a peer which studies it has, and record them."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.dates import FromOption, LastOption, ToOption, window_of
from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Output
from node.cli.shell.progress import Progress

if TYPE_CHECKING:
    from node.config import Config
    from node.dicom.query import StudyQuery
    from node.ops.finding.report import FindReport, FindWatcher, WindowResult
    from schema import Database, Project

_BOUNDS = (
    "say what to find: study dates (--last 7d, or --from DATE and --to DATE), which --modality "
    "narrows; or --patient-id ID, --study-uid UID or --accession NUMBER, which are more than "
    "wildcards; or --project NAME alone. A PACS is never asked for everything at once"
)


def find(
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="[PEER]",
            help="A peer's name in the configuration. Only with --project it may be left out: "
            "then all are asked, one after the other.",
        ),
    ] = None,
    first: FromOption = None,
    to: ToOption = None,
    last: LastOption = None,
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
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Alone: ask for the studies of this project that no peer has answered yet. "
            "With other options: add the studies that they find to it.",
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Ask a peer which studies it has, day by day, and record them in the database.

    The exit code is 1 when the peer did not answer for every day.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.dicom.query import StudyQuery
    from node.errors import UsageError

    query = StudyQuery(
        window=window_of(first, to, last),
        modality=modality.strip(),
        patient_id=patient_id.strip(),
        accession_number=accession.strip(),
        study_uids=tuple(uid.strip() for uid in study_uid or () if uid.strip()),
    )
    unfound = project is not None and query == StudyQuery()
    if query.unbounded and not unfound:
        raise UsageError(_BOUNDS)
    settings = configured(config)
    if peer is None and project is None:
        raise UsageError(f"say which peer to ask; known are: {', '.join(settings.peers)}")
    peers = list(settings.peers) if peer is None else [settings.peer(peer).name]
    if not peers:
        raise UsageError("the configuration has no peer to ask (they go under peers)")
    output = Output(json=json)
    reports, failed = run(_find(settings, peers, None if unfound else query, project, output))
    _print(reports, output, alone=peer is not None)
    if failed or any(report.failures for report in reports):
        raise typer.Exit(Exit.FAILED)


async def _find(
    settings: "Config",
    peers: list[str],
    query: "StudyQuery | None",
    project_name: str | None,
    output: Output,
) -> "tuple[list[FindReport], bool]":
    from node.errors import NodeError
    from node.ops.database import TO_ANSWER
    from node.ops.projects import project_named
    from schema import Database

    reports: list[FindReport] = []
    failures: list[NodeError] = []
    async with Database(settings.storage.resources, transaction_timeout=TO_ANSWER) as database:
        await database.check()
        project = None
        if project_name is not None:
            project = await project_named(database, project_name)
        for name in peers:
            try:
                if query is not None:
                    reports.append(await _query(settings, database, name, query, project, output))
                elif project is not None:
                    reports.append(await _unfound(settings, database, name, project, output))
            except NodeError as error:  # one peer's trouble is not another's
                if len(peers) == 1:
                    raise
                output.note(f"{name}: {error}")
                failures.append(error)
        if failures and not reports:
            raise failures[0]
        if project is not None:
            await _say_what_is_left(database, project, output)
    return reports, bool(failures)


async def _query(
    settings: "Config",
    database: "Database",
    name: str,
    query: "StudyQuery",
    project: "Project | None",
    output: Output,
) -> "FindReport":
    from node.dicom.query import day_windows
    from node.ops.finding.find import find as ask
    from node.ops.peers import peer_of

    total = len(day_windows(query.window))
    with output.progress(f"find at {name}", unit="windows", total=total) as progress:
        return await ask(
            database,
            peer_of(settings.peer(name)),
            query,
            node=settings.node.aetitle,
            project_id=None if project is None else project.id,
            watch=_shown_by(progress),
        )


async def _unfound(
    settings: "Config", database: "Database", name: str, project: "Project", output: Output
) -> "FindReport":
    from node.ops.finding.find import find_by_key
    from node.ops.finding.report import FindReport
    from node.ops.peers import peer_of
    from schema import get_unfound

    async with database.session() as session:
        unfound = await get_unfound(session, project.id)
    uids, numbers = unfound.study_uids, unfound.accession_numbers
    if not uids and not numbers:
        return FindReport(peer=name)
    total = len(uids) + len(numbers)
    with output.progress(f"find at {name}", unit="entries", total=total) as progress:
        return await find_by_key(
            database,
            peer_of(settings.peer(name)),
            study_uids=uids,
            accession_numbers=numbers,
            node=settings.node.aetitle,
            watch=_shown_by(progress, by_key=True),
        )


def _shown_by(progress: Progress, *, by_key: bool = False) -> "FindWatcher":
    """Return what shows each result; a study that is asked for once more counts once."""
    found = failed = 0
    asked: set[str] = set()

    def watch(result: "WindowResult") -> None:
        nonlocal found, failed
        found += result.found
        failed += result.outcome != "complete"
        progress.update(text=f"{found} studies" + (f", {failed} windows failed" if failed else ""))
        uids = result.query.study_uids
        progress.advance(len(set(uids) - asked) if by_key and uids else 1)
        asked.update(uids)

    return watch


async def _say_what_is_left(database: "Database", project: "Project", output: Output) -> None:
    from schema import list_projects

    async with database.session() as session:
        (summary,) = await list_projects(session, name=project.name)
    left = summary.studies - summary.found
    output.note(
        f"{project.name}: {summary.studies} studies, {summary.found} found"
        + (f", {left} not; `dicom-node project show` says why" if left else "")
    )


def _print(reports: "list[FindReport]", output: Output, *, alone: bool) -> None:
    if output.json:
        documents = [_document(report) for report in reports]
        output.document(documents[0] if alone else {"peers": documents})
        return
    for report in reports:
        _print_report(report, output)


def _document(report: "FindReport") -> dict[str, object]:
    return {
        "peer": report.peer,
        **report.counts(),
        "failures": [
            {"window": str(failure), "outcome": failure.outcome, "message": failure.message}
            for failure in report.failures
        ],
    }


def _print_report(report: "FindReport", output: Output) -> None:
    counts = report.counts()
    if not report.windows:
        output.print(f"{report.peer}: nothing to ask: every study of the project is found")
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
            output.note(f"  {failure}: {failure.outcome}: {failure.message}")
        if len(report.failures) > 10:
            output.note(f"  and {len(report.failures) - 10} more, in the table find_windows")
