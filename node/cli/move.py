"""`dicom-node move`: retrieve the studies that were found and are not here yet."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Column, Output

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.moving.report import MoveReport, StudyProgress
    from schema import Database, StudyFind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Which studies the options name; empty means all that are not complete."""

    study_uids: tuple[str, ...]
    project: str | None
    limit: int | None


def move(
    peer: Annotated[
        str | None,
        typer.Argument(metavar="[PEER]", help="Only studies that were found at this peer."),
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
    from node.errors import UsageError

    settings = configured(config)
    if not settings.peers:
        raise UsageError("the configuration has no peer to move from (they go under peers)")
    peers = [settings.peer(peer).name] if peer else list(settings.peers)
    output = Output(json=json)
    wanted = _Wanted(study_uids=tuple(study or ()), project=project, limit=limit)
    reports, failed = run(_move(settings, peers, wanted, output))
    _print(reports, output, peers)
    if failed or any(report.incomplete for report in reports):
        raise typer.Exit(Exit.FAILED)


async def _move(
    settings: "Config", peers: list[str], wanted: _Wanted, output: Output
) -> "tuple[list[MoveReport], bool]":
    from node.errors import NodeError
    from node.ops.database import TO_ANSWER
    from node.ops.moving.retrieval import check_found
    from node.ops.receiving.receiver import receiver_or_running_node
    from schema import Database

    reports: list[MoveReport] = []
    failures: list[NodeError] = []
    async with Database(settings.storage.resources, transaction_timeout=TO_ANSWER) as database:
        await database.check()
        uids: tuple[str, ...] | None = wanted.study_uids or None
        if wanted.project is not None:
            uids = await _of_project(database, wanted.project, wanted.study_uids, output)
        chosen = await _chosen(database, peers, uids, wanted.limit)
        if wanted.study_uids:
            await check_found(database, wanted.study_uids, peers)
        if not any(chosen.values()):
            return reports, False
        async with receiver_or_running_node(settings, database):
            for name, studies in chosen.items():
                if not studies:
                    continue
                try:
                    reports.append(await _from_peer(settings, database, name, studies, output))
                except NodeError as error:  # one peer's trouble is not another's
                    if len(chosen) == 1:
                        raise
                    output.note(f"{name}: {error}")
                    failures.append(error)
    if failures and not reports:
        raise failures[0]
    return reports, bool(failures)


async def _of_project(
    database: "Database", name: str, study_uids: tuple[str, ...], output: Output
) -> tuple[str, ...]:
    """Return the project's studies, or those of them that are asked for by name."""
    from node.errors import UsageError
    from node.ops.projects import project_named
    from schema import get_project_study_uids, list_projects

    project = await project_named(database, name)
    async with database.session() as session:
        members = await get_project_study_uids(session, project.id)
        (summary,) = await list_projects(session, name=project.name)
    for uid in study_uids:
        if uid not in members:
            raise UsageError(f"the study {uid} is not in the project {project.name!r}")
    if summary.missing:
        output.note(
            f"{project.name}: {summary.missing} of {summary.studies} studies are not found "
            f"anywhere yet; `dicom-node project show` says why"
        )
    return study_uids or tuple(members)


async def _chosen(
    database: "Database", peers: list[str], study_uids: tuple[str, ...] | None, limit: int | None
) -> "dict[str, list[StudyFind]]":
    """Return what to move from each peer; of no known peer, any may have it."""
    from node.ops.moving.retrieval import studies_to_move

    chosen: dict[str, list[StudyFind]] = {}
    for name in peers:
        left = None if limit is None else limit - sum(map(len, chosen.values()))
        if left != 0:
            taken = {study.study_uid for studies in chosen.values() for study in studies}
            chosen[name] = [
                study
                for study in await studies_to_move(
                    database, peer=name, study_uids=study_uids, limit=left
                )
                if study.study_uid not in taken
            ]
    return chosen


async def _from_peer(
    settings: "Config",
    database: "Database",
    name: str,
    studies: "list[StudyFind]",
    output: Output,
) -> "MoveReport":
    from node.ops.moving.retrieval import retrieve

    total = sum(study.expected_images or 0 for study in studies)
    with output.progress(f"move from {name}", unit="images", total=total or None) as progress:
        done = 0

        def watch(state: "StudyProgress") -> None:
            nonlocal done
            progress.update(done + state.received, text=f"study {state.study} of {state.studies}")
            if state.result is not None:
                done += state.received

        return await retrieve(settings, database, name, studies, watch=watch)


def _print(reports: "list[MoveReport]", output: Output, peers: list[str]) -> None:
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
            f"{report.peer}: {counts['complete']} of {counts['studies']} studies complete, "
            f"{counts['images']} images"
        )
        if report.incomplete:
            output.note(
                f"{counts['incomplete']} studies are not complete; they are kept for the next move"
            )
