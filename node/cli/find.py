"""`dicom-node find`: ask a peer which studies it has, and record them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.dates import FromOption, LastOption, ToOption, window_of
from node.cli.shell.options import ConfigOption, JsonOption, QuietOption, seconds_of
from node.cli.shell.output import Output
from node.cli.shell.queries import queries_of
from node.cli.shell.tour import TourDisplay, troubles_of
from schema.text.words import counted, counted_are

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.dicom.query import StudyQuery
    from node.ops.finding.peers import FindPlan
    from node.ops.finding.report import FindReport, FindWatcher
    from node.ops.tour import Tour
    from schema.project.reports import ProjectSummary


def find(
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="PEER",
            autocompletion=completion.peers,
            help="A peer's name in the configuration. Without it all are asked, one after the "
            "other.",
        ),
    ] = None,
    first: FromOption = None,
    to: ToOption = None,
    last: LastOption = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(metavar="CT", help="Only studies that have this modality; may be repeated."),
    ] = None,
    patient_id: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Only this patient's; * and ? are wildcards; may be repeated."
        ),
    ] = None,
    study_uid: Annotated[
        list[str] | None,
        typer.Option("--study", metavar="UID", help="Only this study; may be repeated."),
    ] = None,
    accession: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBER",
            help="Only this accession number; * and ? are wildcards; may be repeated.",
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.projects,
            help="Alone: ask for the studies of this project that no peer has answered yet. "
            "With other options: add the studies that they find to it.",
        ),
    ] = None,
    only_gaps: Annotated[
        bool,
        typer.Option(
            "--only-gaps", help="Only ask for the days of which it is not known what there is."
        ),
    ] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say what would be asked, and about how often; ask nothing."),
    ] = False,
    list_: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Ask for what each line of this list names; - is the standard input.",
            show_default=False,
        ),
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the lines of the list are written with what became of them; the list's "
            "name with -result unless said. Where there is one already, it is gone on with.",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="10s", help="With --list: how long to wait between two questions; 0s if unsaid."
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Ask a peer which studies it has, and record them in the database.

    It is asked in windows of study dates, as wide as it answers whole. The exit code is 1 when it
    is not known of every day what the peer has.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError

    if list_ is not None or result is not None or interval is not None:
        others = (first, to, last, modality, patient_id, study_uid, accession, project)
        if any(other is not None for other in others) or only_gaps or plan:
            raise UsageError("--list goes with --result and --interval, and with nothing else")
        if list_ is None or peer is None:
            raise UsageError("say whom to ask for which list: find PEER --list FILE")
        output = Output(json=json, quiet=quiet)
        _find_list(configured(config), peer, list_, result, interval, output)
        return
    queries = queries_of(
        window_of(first, to, last),
        modalities=modality,
        patient_ids=patient_id,
        accession_numbers=accession,
        study_uids=study_uid,
        project=project,
    )
    settings = configured(config)
    output = Output(json=json, quiet=quiet)
    if plan:
        if not queries or any(query.study_uids for query in queries):
            raise UsageError("--plan is for questions about study dates: --last, --from and --to")
        _print_plans(run(_plan(settings, peer, queries, only_gaps=only_gaps)), output)
        return
    tour = run(_find(settings, peer, queries, project, output, only_gaps=only_gaps))
    nothing = "every day is proven" if queries else "every study of the project is found"
    _print(tour, output, alone=peer is not None, nothing=nothing)
    if tour.troubles or any(report.failures for report in tour.reports):
        raise typer.Exit(Exit.FAILED)


def _find_list(
    settings: "Config",
    peer: str,
    path: Path,
    result: Path | None,
    interval: str | None,
    output: Output,
) -> None:
    from node.cli.lists.finding import find_list, print_list, table_of
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import run

    settings.peer(peer)
    pause = 0.0 if interval is None else seconds_of(interval)
    table = table_of(path)
    place = result or Path(f"{'list' if str(path) == '-' else path.stem}-result.csv")
    found = run(find_list(settings, peer, table, place, output, pause=pause))
    print_list(found, output)
    if not found.is_done:
        raise typer.Exit(Exit.FAILED)


async def _find(
    settings: "Config",
    peer: str | None,
    queries: "list[StudyQuery]",
    project: str | None,
    output: Output,
    *,
    only_gaps: bool,
) -> "Tour[FindReport]":
    """Ask for what the queries say; without any, for what is not found of the project."""
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER
    from node.ops.finding.peers import find_at_peers, find_unfound, peers_to_ask
    from node.ops.projects import project_named, project_summary

    peers = peers_to_ask(settings, peer)
    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        named = None if project is None else await project_named(database, project)
        with TourDisplay(output, alone=len(peers) == 1) as display:
            watch = _shown_on(display)
            if queries or named is None:
                key = None if named is None else named.id
                tour = await find_at_peers(
                    settings,
                    database,
                    peers,
                    queries,
                    project_id=key,
                    only_gaps=only_gaps,
                    watch=watch,
                )
            else:
                tour = await find_unfound(settings, database, peers, named.id, watch=watch)
        tour.raise_if_vain()
        if named is not None:
            _say_what_is_left(await project_summary(database, named), output)
    return tour


async def _plan(
    settings: "Config", peer: str | None, queries: "list[StudyQuery]", *, only_gaps: bool
) -> "list[FindPlan]":
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER
    from node.ops.finding.peers import peers_to_ask, plan_at_peer

    peers = peers_to_ask(settings, peer)
    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        return [
            await plan_at_peer(settings, database, name, queries, only_gaps=only_gaps)
            for name in peers
        ]


def _print_plans(plans: "list[FindPlan]", output: Output) -> None:
    if output.json:
        documents = [
            {
                "peer": plan.estimate.peer,
                "queries": plan.estimate.queries,
                "studies_per_day": plan.estimate.per_day,
                "windows": [str(query.window) for query in plan.estimate.windows],
            }
            for plan in plans
        ]
        output.document({"peers": documents})
        return
    for plan in plans:
        estimate = plan.estimate
        if not plan.queries:
            output.print(f"{estimate.peer}: nothing to ask: every day is proven")
            continue
        known = (
            f"{estimate.per_day:.3g} studies a day so far"
            if estimate.per_day is not None
            else "nothing is known of it yet"
        )
        asked = counted(estimate.queries, "question")
        output.print(f"{estimate.peer}: about {asked} ({known}), the first of them:")
        for query in estimate.windows:
            keys = ", ".join(f"{key}={value}" for key, value in query.keys().items())
            output.print(f"  {query.window}{', ' if keys else ''}{keys}")


def _shown_on(display: TourDisplay) -> "FindWatcher":
    """Return what shows the find."""
    from node.ops.finding.report import FindBegun, FindReport, WindowResult
    from node.ops.tour import PeerTrouble

    progress: Progress
    found = failed = 0

    def watch(told: FindBegun | WindowResult | FindReport | PeerTrouble) -> None:
        nonlocal progress, found, failed
        match told:
            case FindBegun():
                unit = "entries" if told.by_key else "windows"
                # how many windows there will be, the answers decide
                total = told.questions if told.by_key else None
                progress = display.begin(f"find at {told.peer}", unit=unit, total=total)
                found = failed = 0
            case WindowResult():
                found += told.found
                failed += told.outcome != "complete"
                failures = f", {counted(failed, 'window')} failed" if failed else ""
                progress.update(text=f"{counted(found, 'study')}{failures}")
                progress.advance()
            case FindReport():
                display.end()
            case PeerTrouble():
                display.end(told)

    return watch


def _say_what_is_left(summary: "ProjectSummary", output: Output) -> None:
    left = summary.studies - summary.found
    output.remark(
        f"{summary.name}: {counted(summary.studies, 'study')}, {summary.found} found"
        + (f", {left} not; `dicom-node project show` says why" if left else "")
    )


def _print(tour: "Tour[FindReport]", output: Output, *, alone: bool, nothing: str) -> None:
    if output.json:
        documents = [_document(report) for report in tour.reports]
        output.document(documents[0] if alone else {"peers": documents, **troubles_of(tour)})
        return
    for report in tour.reports:
        _print_report(report, output, nothing)


def _document(report: "FindReport") -> dict[str, object]:
    return {
        "peer": report.peer,
        **report.counts(),
        "ambiguous": dict(report.ambiguous),
        "failures": [
            {"window": str(failure), "outcome": failure.outcome, "message": failure.message}
            for failure in report.failures
        ],
    }


def _print_report(report: "FindReport", output: Output, nothing: str) -> None:
    counts = report.counts()
    if not report.windows:
        output.print(f"{report.peer}: nothing to ask: {nothing}")
        return
    output.print(
        f"{report.peer}: {counted(counts['found'], 'study')} found, {counts['new']} of them new, "
        f"{counts['changed']} changed"
    )
    for number, names in list(report.ambiguous.items())[:10]:
        output.note(f"accession number {number} is ambiguous: {names}")
    if counts["gone"]:
        output.note(f"{report.peer} has {counted(counts['gone'], 'study')} no more")
    if counts["outside"]:
        output.note(
            f"{counted_are(counts['outside'], 'answer')} left out: {report.peer} sent what was "
            "not asked for"
        )
    if report.failures:
        output.note(
            f"{counted(len(report.failures), 'gap')} after "
            f"{counted(len(report.windows), 'question')}: what {report.peer} has there is not known"
        )
        for failure in report.failures[:10]:
            output.note(f"  {failure}: {failure.outcome}: {failure.message}")
        if len(report.failures) > 10:
            output.note(f"  and {len(report.failures) - 10} more, in the table find_windows")
