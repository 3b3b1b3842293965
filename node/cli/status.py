"""`dicom-node status`: what is here, what is missing, what ran last."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import ConfigOption, JsonOption
from node.cli.output import Column, Output

if TYPE_CHECKING:
    from node.config import Config
    from schema import StudySummary, Summary


def status(
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many studies to list, the latest first.")
    ] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is here, what is missing and why, and whether the node is running."""
    from node.cli.start import configured, run

    settings = configured(config)
    summary, studies, running = run(_ask(settings, limit))
    output = Output(json=json)
    if json:
        output.document({"running": running, "summary": summary, "studies": studies})
        return
    where = f"{settings.node.aetitle} at {settings.node.host} port {settings.node.port}"
    output.print(f"{where} is {'running' if running else 'not running'}")
    _print(output, summary, studies)


async def _ask(settings: "Config", limit: int) -> "tuple[Summary, list[StudySummary], bool]":
    from node.ops.peers import is_running
    from schema import Database, recent_studies, summary

    running = await is_running(settings)
    async with Database(settings.storage.resources) as database:
        await database.check()
        async with database.session() as session:
            return await summary(session), await recent_studies(session, limit=limit), running


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
