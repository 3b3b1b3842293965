"""`dicom-node find`: ask a peer which studies it has, and record them."""

import shlex
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.ledger.finds import print_found
from node.cli.ledger.plans import plans_at, print_plans
from node.cli.ledger.shown import shown_on
from node.cli.shell import completion
from node.cli.shell.dates import AheadOption, FromOption, LastOption, ToOption, asked_windows
from node.cli.shell.options import (
    ConfigOption,
    JsonOption,
    QuietOption,
    needs_its_folder,
    seconds_of,
)
from node.cli.shell.output import Output
from node.cli.shell.queries import queries_of
from node.cli.shell.tour import TourDisplay
from schema.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.config import Config
    from node.dicom.query import StudyQuery
    from node.ops.finding.report import FindReport
    from node.ops.tour import Tour
    from schema.project.reports import ProjectSummary

_PROVEN = "every day is proven"


def find(
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="PEER",
            autocompletion=completion.peers,
            help="A peer's name in the configuration. Without it all are asked, one after the "
            "other, or as --concurrency says.",
        ),
    ] = None,
    first: FromOption = None,
    to: ToOption = None,
    last: LastOption = None,
    ahead: AheadOption = False,
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
        typer.Option(
            "--study",
            metavar="UID",
            help="Only this study; may be repeated. With --accession, all that one of them names.",
        ),
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
    due: Annotated[
        bool,
        typer.Option(
            "--due",
            help="Only ask for the days that are due: of which it is not known what there is, or "
            "was last known longer ago than find.proof allows. Without study dates: of all that "
            "the daemon covers.",
        ),
    ] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say what would be asked, and about how often; ask nothing."),
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many peers are asked at once, each of them one question after the other; "
            "find.concurrency unless said.",
        ),
    ] = None,
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
    is not known of every day, or of a study that the peer had, what the peer has.
    """
    from node.cli.shell.exits import Exit, code_of
    from node.cli.shell.start import configured, run
    from node.errors import UsageError

    if list_ is not None or result is not None or interval is not None:
        others = {
            "--from": first is not None,
            "--to": to is not None,
            "--last": last is not None,
            "--ahead": ahead,
            "--modality": modality is not None,
            "--patient-id": patient_id is not None,
            "--study": study_uid is not None,
            "--accession": accession is not None,
            "--project": project is not None,
            "--only-gaps": only_gaps,
            "--due": due,
            "--plan": plan,
            "--concurrency": concurrency is not None,
        }
        _check_alone([option for option, given in others.items() if given])
        if list_ is None or peer is None:
            raise UsageError("say whom to ask for which list: find PEER --list FILE")
        output = Output(json=json, quiet=quiet)
        _find_list(configured(config), peer, list_, result, interval, output)
        return
    windows, notes = asked_windows(first, to, last, ahead=ahead)
    if only_gaps and not (windows[0].start or patient_id or study_uid or accession):
        raise UsageError(
            "--only-gaps goes with the study dates among which to look for gaps: --last 30d, or "
            "--from DATE and --to DATE; `dicom-node coverage` shows where there are any"
        )
    restricted = any((modality, patient_id, study_uid, accession, windows[0].start))
    queries = [
        query
        for window in (() if due and not restricted else windows)
        for query in queries_of(
            window,
            modalities=modality,
            patient_ids=patient_id,
            accession_numbers=accession,
            study_uids=study_uid,
            project=project,
        )
    ]
    if due and (only_gaps or any(query.window.start is None for query in queries)):
        raise UsageError("--due is for study dates (--last, --from and --to), without --only-gaps")
    settings = configured(config)
    output = Output(json=json, quiet=quiet)
    for note in notes:
        output.note(note)
    if plan:
        if not (queries or due) or any(query.names_studies for query in queries):
            raise UsageError("--plan is for questions about study dates: --last, --from and --to")
        moment = datetime.now().astimezone() if due else None
        plans = run(plans_at(settings, peer, queries, only_gaps=only_gaps, due=moment))
        print_plans(plans, output, nothing="nothing is due" if due else _PROVEN, notes=notes)
        return
    from node.ops.tour import Tour

    at_once = concurrency or settings.find.concurrency
    nothing = _PROVEN if queries else "every study of the project is found"
    nothing = "nothing is due" if due else nothing
    printed = partial(
        print_found, output=output, alone=peer is not None, nothing=nothing, notes=notes
    )
    ended: list[FindReport] = []
    finding = _find(
        settings,
        peer,
        queries,
        project,
        output,
        only_gaps=only_gaps,
        due=due,
        at_once=at_once,
        ended=ended,
    )
    try:
        tour = run(finding)
    except BaseException:
        if ended:
            printed(Tour(reports=ended))
        raise
    printed(tour)
    if tour.troubles and not tour.reports:  # each of them has been told
        raise typer.Exit(code_of(tour.troubles[0].error))
    if tour.troubles or not all(report.is_whole for report in tour.reports):
        raise typer.Exit(Exit.FAILED)


def _check_alone(others: "Sequence[str]") -> None:
    """Refuse options that a find of a list has no use for.

    Raises
    ------
    UsageError
    """
    from node.errors import UsageError

    if not others:
        return
    why = f"--list goes with --result and --interval alone, not with {', '.join(others)}"
    if "--plan" in others:
        why += "; a plan is for study dates, named by --last, or by --from and --to"
    raise UsageError(why)


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
    needs_its_folder("--result", result)
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
    due: bool,
    at_once: int,
    ended: "list[FindReport]",
) -> "Tour[FindReport]":
    """Ask for what the queries say; without any, for what is due, or not found of the project.

    Parameters
    ----------
    ended
        Where the reports go of finds that have ended, or were broken off.
    """
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER
    from node.ops.finding.peers import find_at_peers, find_unfound, peers_to_ask
    from node.ops.projects import check_not_empty, project_named, project_summary

    peers = peers_to_ask(settings, peer)
    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        named = None if project is None else await project_named(database, project)
        if named is not None and not (queries or due):
            check_not_empty(await project_summary(database, named))
        with TourDisplay(output, alone=len(peers) == 1) as display:
            watch = shown_on(display, together=min(at_once, len(peers)) > 1, ended=ended)
            if queries or due or named is None:
                key = None if named is None else named.id
                tour = await find_at_peers(
                    settings,
                    database,
                    peers,
                    queries,
                    project_id=key,
                    only_gaps=only_gaps,
                    concurrency=at_once,
                    due=datetime.now().astimezone() if due else None,
                    watch=watch,
                )
            else:
                tour = await find_unfound(settings, database, peers, named.id, watch=watch)
        if len(peers) == 1:
            tour.raise_if_vain()
        if named is not None:
            _say_what_is_left(await project_summary(database, named), output)
    return tour


def _say_what_is_left(summary: "ProjectSummary", output: Output) -> None:
    left, name = summary.studies - summary.found, shlex.quote(summary.name)
    output.remark(
        f"{summary.name}: {counted(summary.studies, 'study')}, {summary.found} found"
        + (f", {left} not; `dicom-node project show {name}` says why" if left else "")
    )
