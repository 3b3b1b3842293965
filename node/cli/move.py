"""`dicom-node move`: retrieve the studies that were found and are not here yet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Column, Output
from node.cli.shell.tour import TourDisplay, troubles_of
from schema.text.words import are, counted, counted_are

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.ops.moving.report import MoveReport, MoveWatcher
    from node.ops.tour import Tour
    from schema.engine.database import Database


def move(
    peer: Annotated[
        str | None,
        typer.Argument(metavar="PEER", help="Only studies that were found at this peer."),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Only this Study Instance UID; may be repeated."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only the studies of this project that were found."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many studies.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Retrieve the studies that were found and are not complete here (C-MOVE).

    Works beside a running node, and receives by itself when none is running. The exit code
    is 1 when a study is not complete afterwards; it is kept for the next time.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.ops.moving.choice import peers_to_move_from

    settings = configured(config)
    peers = peers_to_move_from(settings, peer)
    output = Output(json=json)
    tour = run(_move(settings, peers, study or [], project, limit, output))
    _print(tour, output, peers)
    if tour.troubles or any(report.incomplete for report in tour.reports):
        raise typer.Exit(Exit.FAILED)


async def _move(
    settings: "Config",
    peers: list[str],
    named: list[str],
    project: str | None,
    limit: int | None,
    output: Output,
) -> "Tour[MoveReport]":
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER
    from node.ops.moving.choice import choose
    from node.ops.moving.peers import move_chosen

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        uids: Sequence[str] | None = named or None
        if project is not None:
            uids = await _of_project(database, project, named, output)
        chosen = await choose(database, peers, study_uids=uids, named=named, limit=limit)
        with TourDisplay(output, alone=len(chosen) == 1) as display:
            tour = await move_chosen(settings, database, chosen, watch=_shown_on(display))
    tour.raise_if_vain()
    return tour


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
        output.note(
            f"{project.name}: {summary.missing} of {counted(summary.studies, 'study')} "
            f"{are(summary.missing)} not found anywhere yet; `dicom-node project show` says why"
        )
    return uids


def _shown_on(display: TourDisplay) -> "MoveWatcher":
    """Return what shows the move: images, over all studies of a peer."""
    from node.ops.moving.report import MoveBegun, MoveReport, StudyProgress
    from node.ops.tour import PeerTrouble

    progress: Progress
    done = 0

    def watch(told: MoveBegun | StudyProgress | MoveReport | PeerTrouble) -> None:
        nonlocal progress, done
        match told:
            case MoveBegun():
                label = f"move from {told.peer}"
                progress = display.begin(label, unit="images", total=told.images or None)
                done = 0
            case StudyProgress():
                place = f"study {told.study} of {told.studies}"
                progress.update(done + told.received, text=place)
                done += told.received if told.result is not None else 0
            case MoveReport():
                display.end()
            case PeerTrouble():
                display.end(told)

    return watch


def _print(tour: "Tour[MoveReport]", output: Output, peers: list[str]) -> None:
    reports = tour.reports
    rows = [
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
    if output.json:
        output.document({"studies": rows, **troubles_of(tour)})
        return
    if not rows:
        output.print(
            f"Nothing to move: what was found at {', '.join(peers)} and asked for is complete here."
        )
        return
    output.table(
        [
            Column(key="study_uid", title="study"),
            "outcome",
            Column(key="received", right=True),
            Column(key="expected", right=True),
        ],
        rows,
    )
    for report in reports:
        counts = report.counts()
        output.print(
            f"{report.peer}: {counts['complete']} of {counted(counts['studies'], 'study')} "
            f"complete, {counted(counts['images'], 'image')}"
        )
        if report.incomplete:
            output.note(
                f"{counted_are(counts['incomplete'], 'study')} not complete: kept for the next move"
            )
