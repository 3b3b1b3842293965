"""`dicom-node move`: retrieve the studies that were found and are not here yet."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.ledger.moves import nothing_at, open_elsewhere
from node.cli.shell import completion
from node.cli.shell.options import LARGEST_PRIORITY, ConfigOption, JsonOption, QuietOption
from node.cli.shell.output import Column, Output
from node.cli.shell.tour import TourDisplay, troubles_of
from schema.text.words import are, counted, counted_are

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.ops.moving.report import MoveNotes, MoveReport, MoveWatcher
    from node.ops.moving.standing import Planned, Standing
    from node.ops.tour import PeerTrouble, Tour
    from schema.engine.database import Database


def move(
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="PEER",
            autocompletion=completion.peers,
            help="Only studies that were found at this peer.",
        ),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Only this Study Instance UID; may be repeated."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.projects,
            help="Only the studies of this project that were found.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many studies.")
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(
            min=-LARGEST_PRIORITY,
            max=LARGEST_PRIORITY,
            metavar="N",
            help="Give the studies of --study or --project this priority, now and for later moves: "
            "the highest first.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be asked for; ask nobody.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Retrieve the studies that were found and are not complete here (C-MOVE, C-GET or WADO-RS).

    Works beside a running node, and receives by itself when none is running. The exit code
    is 1 when a study is not complete afterwards; it is kept for the next time.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from node.ops.moving.choice import peers_to_move_from

    if priority is not None and not (study or project):
        raise UsageError("--priority goes with --study UID or --project NAME: say of what")
    settings = configured(config)
    peers = peers_to_move_from(settings, peer)
    output = Output(json=json, quiet=quiet)
    if dry_run:
        plan = _plan(settings, peers, study or [], project, limit, output, priority=priority)
        _print_plan(run(plan), output)
        return
    work = _move(settings, peers, study or [], project, limit, output, priority=priority)
    troubles, reports, out_of_reach = run(work)
    out_of_reach = out_of_reach and peer is None
    if troubles or out_of_reach or any(report.incomplete for report in reports):
        raise typer.Exit(Exit.FAILED)


async def _move(
    settings: "Config",
    peers: list[str],
    named: list[str],
    project: str | None,
    limit: int | None,
    output: Output,
    *,
    priority: int | None,
) -> "tuple[list[PeerTrouble], list[MoveReport], bool]":
    """Move; return as well whether studies are open at peers of the configuration left out."""
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER
    from node.ops.moving.choice import choose
    from node.ops.moving.peers import move_chosen
    from node.ops.moving.priority import prioritise
    from node.ops.moving.report import MoveNotes
    from node.ops.moving.standing import standing_of

    notes = MoveNotes()

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        uids: Sequence[str] | None = named or None
        if project is not None:
            uids = await _of_project(database, project, named, output)
        if priority is not None:
            await prioritise(database, uids or (), priority)
        chosen = await choose(database, peers, study_uids=uids, named=named, limit=limit)
        try:
            with TourDisplay(output, alone=len(chosen) == 1) as display:
                watch = _shown_on(display, notes)
                tour = await move_chosen(settings, database, chosen, watch=watch)
            tour.raise_if_vain()
        except BaseException:
            _print_so_far(notes.reports(), output)
            raise
        standing = await standing_of(database, peers, study_uids=uids)
        _print(
            tour,
            notes.reports(),
            standing,
            settings,
            output,
            project=project,
            named=bool(named),
        )
        out_of_reach = any(tally.peer in settings.peers for tally in standing.elsewhere)
        return tour.troubles, notes.reports(), out_of_reach


async def _plan(
    settings: "Config",
    peers: list[str],
    named: list[str],
    project: str | None,
    limit: int | None,
    output: Output,
    *,
    priority: int | None,
) -> "list[Planned]":
    from node.cli.shell.start import database_of
    from node.config.peer.settings import RetrieveWay
    from node.ops.moving.choice import choose
    from node.ops.moving.standing import planned, standing_of
    from node.ops.probing.knowledge import knowledge_of
    from node.ops.retrieving.way import way_of

    async with database_of(settings) as database:
        uids: Sequence[str] | None = named or None
        if project is not None:
            uids = await _of_project(database, project, named, output)
        chosen = await choose(
            database,
            peers,
            study_uids=uids,
            named=named,
            limit=limit,
            by_priority=priority is None,
        )
        standing = await standing_of(database, peers, study_uids=uids)
        for tally in standing.elsewhere:
            output.remark(open_elsewhere(tally, settings, project))
        for name in chosen:
            known = await knowledge_of(settings, database, name)
            way = way_of(settings.peer(name), known)
            if way is RetrieveWay.MOVE and known.moves_nothing:
                output.remark(f"{name} accepted no C-MOVE when it was probed")
        return await planned(database, chosen, priority=priority)


def _print_plan(planned: "list[Planned]", output: Output) -> None:
    if output.json:
        output.document({"would_move": planned})
        return
    if planned:
        output.table(
            [
                Column(key="study_uid", title="study"),
                "peer",
                Column(key="study_date", title="date"),
                "modalities",
                *(Column(key=key, right=True) for key in ("received", "expected", "priority")),
            ],
            [asdict(one) for one in planned],
        )
    studies = counted(len({one.study_uid for one in planned}), "study")
    output.print(f"{studies} would be asked for, in this order; nobody was asked")


async def _of_project(
    database: "Database", name: str, named: list[str], output: Output
) -> list[str]:
    """Return the studies to move, and say how many of the project cannot be."""
    from node.ops.moving.choice import studies_of_project
    from node.ops.projects import project_named, project_summary

    project = await project_named(database, name)
    uids = await studies_of_project(database, project, named)
    summary = await project_summary(database, project)
    if summary.missing:
        output.remark(
            f"{project.name}: {summary.missing} of {counted(summary.studies, 'study')} "
            f"{are(summary.missing)} not found anywhere yet; "
            f"`dicom-node project show {shlex.quote(project.name)}` says why"
        )
    return uids


def _shown_on(display: TourDisplay, notes: "MoveNotes") -> "MoveWatcher":
    """Return what shows the move: images, over all studies of a peer."""
    from node.ops.moving.report import MoveBegun, MoveReport, MoveWaits, StudyProgress
    from node.ops.tour import PeerTrouble

    progress: Progress
    latest = 0
    received: dict[str, int] = {}

    def watch(told: MoveBegun | MoveWaits | StudyProgress | MoveReport | PeerTrouble) -> None:
        nonlocal progress, latest
        notes.take(told)
        match told:
            case MoveBegun():
                label = f"move from {told.peer}"
                progress = display.begin(label, unit="images", total=told.images or None)
                latest = 0
                received.clear()
            case MoveWaits():
                reason = "it goes on" if told.reason is None else f"waiting: {told.reason}"
                display.note(f"move from {told.peer}: {reason}")
            case StudyProgress():
                latest = max(latest, told.study)
                progress.advance(told.received - received.get(told.study_uid, 0))
                received[told.study_uid] = told.received
                progress.update(text=f"study {latest} of {told.studies}")
            case MoveReport():
                display.end()
            case PeerTrouble():
                display.end(told)

    return watch


def _rows(reports: "list[MoveReport]") -> list[dict[str, object]]:
    return [
        {
            "peer": report.peer,
            "study_uid": result.study_uid,
            "outcome": result.outcome,
            "received": result.received,
            "expected": result.expected,
            "message": result.message,
        }
        for report in reports
        for result in report.results
    ]


def _print_so_far(reports: "list[MoveReport]", output: Output) -> None:
    """Say what was done before the move was ended."""
    if not reports:
        return
    if output.json:
        output.document({"studies": _rows(reports)})
    else:
        _print_studies(reports, output)


def _print(
    tour: "Tour[MoveReport]",
    reports: "list[MoveReport]",
    standing: "Standing",
    settings: "Config",
    output: Output,
    *,
    project: str | None,
    named: bool,
) -> None:
    if output.json:
        tallies = [
            {"peer": one.peer, "found": one.found, "complete": one.complete, "open": one.open}
            for one in (*standing.asked, *standing.elsewhere)
        ]
        output.document({"studies": _rows(reports), "peers": tallies, **troubles_of(tour)})
        return
    if not reports:
        for tally in standing.asked:
            output.print(nothing_at(tally, project, named=named))
    else:
        _print_studies(reports, output)
    for tally in standing.elsewhere:
        output.remark(open_elsewhere(tally, settings, project))


def _print_studies(reports: "list[MoveReport]", output: Output) -> None:
    output.table(
        [
            Column(key="study_uid", title="study"),
            "outcome",
            Column(key="received", right=True),
            Column(key="expected", right=True),
        ],
        _rows(reports),
    )
    for report in reports:
        counts = report.counts()
        output.print(
            f"{report.peer}: {counts['complete']} of {counted(counts['studies'], 'study')} "
            f"complete, {counted(counts['images'], 'image')}"
        )
        if report.skipped:
            studies = counted_are(len(report.skipped), "study")
            output.note(f"{studies} left to another node that moves them")
        if report.incomplete:
            output.note(
                f"{counted_are(counts['incomplete'], 'study')} not complete: kept for the next move"
            )
