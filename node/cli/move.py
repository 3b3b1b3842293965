"""`dicom-node move`: retrieve the studies that were found and are not here yet."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import ConfigOption, JsonOption
from node.cli.output import Column, Output

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.move import MoveReport
    from node.ops.move import Progress as MoveProgress
    from schema import Database, StudyFind


def move(
    peer: Annotated[
        str | None,
        typer.Argument(metavar="[PEER]", help="Only studies that were found at this peer."),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Only this Study Instance UID; may be repeated."),
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
    from node.cli.exits import Exit
    from node.cli.start import configured, run
    from node.errors import UsageError

    settings = configured(config)
    if not settings.peers:
        raise UsageError("the configuration has no peer to move from (they go under peers)")
    peers = [settings.peer(peer).name] if peer else list(settings.peers)
    output = Output(json=json)
    reports = run(_move(settings, peers, tuple(study or ()), limit, output))
    _print(reports, output)
    if any(report.incomplete for report in reports):
        raise typer.Exit(Exit.FAILED)


async def _move(
    settings: "Config",
    peers: list[str],
    study_uids: tuple[str, ...],
    limit: int | None,
    output: Output,
) -> "list[MoveReport]":
    from node.ops.receiver import receiver_or_running_node
    from node.ops.retrieval import check_found, studies_to_move
    from schema import Database

    reports: list[MoveReport] = []
    async with Database(settings.storage.resources) as database:
        await database.check()
        chosen: dict[str, list[StudyFind]] = {}
        for name in peers:
            left = None if limit is None else limit - sum(map(len, chosen.values()))
            if left != 0:
                chosen[name] = await studies_to_move(
                    database, peer=name, study_uids=study_uids, limit=left
                )
        if study_uids:
            await check_found(database, study_uids, peers)
        if not any(chosen.values()):
            return reports
        async with receiver_or_running_node(settings, database):
            for name, studies in chosen.items():
                if studies:
                    reports.append(await _from_peer(settings, database, name, studies, output))
    return reports


async def _from_peer(
    settings: "Config",
    database: "Database",
    name: str,
    studies: "list[StudyFind]",
    output: Output,
) -> "MoveReport":
    from node.ops.retrieval import retrieve

    total = sum(study.expected_images or 0 for study in studies)
    with output.progress(f"move from {name}", unit="images", total=total or None) as progress:
        done = 0

        def watch(state: "MoveProgress") -> None:
            nonlocal done
            progress.update(done + state.received, text=f"study {state.study} of {state.studies}")
            if state.result is not None:
                done += state.received
                if state.result.message:
                    output.note(f"{state.study_uid}: {state.result.message}")

        return await retrieve(settings, database, name, studies, watch=watch)


def _print(reports: "list[MoveReport]", output: Output) -> None:
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
        output.document({"studies": rows})
        return
    if not rows:
        output.print("Nothing to move: every study that was found is complete here.")
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
            f"{report.peer}: {counts['complete']} of {counts['studies']} studies complete, "
            f"{counts['images']} images"
        )
        if report.incomplete:
            output.note(
                f"{counts['incomplete']} studies are not complete; they are kept for the next move"
            )
