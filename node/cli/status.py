"""`dicom-node status`: what is here, what is missing, what ran last."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Column, Output

if TYPE_CHECKING:
    from node.config import Config
    from schema.reports import StudySummary, Summary


_TO_ANSWER = 60.0
"""Seconds that the database has to answer."""


def status(
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many studies to list, the latest first.")
    ] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is here, what is missing and why, and whether the node is running."""
    from node.cli.shell.start import configured, run
    from schema import DatabaseUnavailable

    settings = configured(config)
    output = Output(json=json)
    running, waiting = run(_look(settings))
    if not json:
        where = f"{settings.node.aetitle} at {settings.node.host} port {settings.node.port}"
        output.print(f"{where} is {'running' if running else 'not running'}")
        if waiting:
            output.print(f"{waiting} objects were received and wait to be indexed")
    known: dict[str, object] = {"running": running, "waiting": waiting, "database": None}
    try:
        summary, studies = run(_ask(settings, limit))
    except DatabaseUnavailable as error:
        if json:
            output.document({**known, "database": str(error), "summary": None, "studies": []})
        raise
    if json:
        output.document({**known, "summary": summary, "studies": studies})
        return
    _print(output, summary, studies)


async def _look(settings: "Config") -> tuple[bool, int]:
    import asyncio

    from node.ops.peers import is_running
    from node.storage.inspect import count_spooled

    return await is_running(settings), await asyncio.to_thread(
        count_spooled, settings.storage.directory
    )


async def _ask(settings: "Config", limit: int) -> "tuple[Summary, list[StudySummary]]":
    from schema import Database, summary
    from schema.reports import recent_studies

    async with Database(settings.storage.resources, transaction_timeout=_TO_ANSWER) as database:
        await database.check()
        async with database.session() as session:
            return await summary(session), await recent_studies(session, limit=limit)


def _print(output: Output, summary: "Summary", studies: "list[StudySummary]") -> None:
    output.print(
        f"{summary.found} studies found, {summary.retrieved} retrieved, {summary.to_move} to move"
    )
    output.print(
        f"{summary.images} images here, of {summary.patients} patients, {summary.studies} studies, "
        f"{summary.series} series; {summary.quarantined} objects in quarantine"
    )
    for cycle in summary.last_cycles:
        counts = ", ".join(f"{name} {count}" for name, count in cycle.counts.items())
        output.print(
            f"last {cycle.kind} at {cycle.peer}: {cycle.outcome}, "
            f"{cycle.started_on.isoformat(sep=' ', timespec='seconds')} UTC"
            f"{': ' + (cycle.message or counts) if cycle.message or counts else ''}"
        )
    if not studies:
        return
    output.print("")
    output.table(
        [
            Column(key="study_uid", title="study"),
            "date",
            "modalities",
            "state",
            Column(key="received", right=True),
            Column(key="expected", right=True),
            Column(key="last_error", title="why"),
        ],
        [
            {
                "study_uid": study.study_uid,
                "date": study.study_date.date().isoformat() if study.study_date else None,
                "modalities": study.modalities,
                "state": study.state,
                "received": study.received_images,
                "expected": study.expected_images,
                "last_error": study.last_error or "",
            }
            for study in studies
        ],
    )
