"""`dicom-node quarantine`: what was received and is no image of the index."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Column, Output

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.checking.export import Copies
    from node.ops.checking.quarantine import Retried
    from schema import Quarantined
    from schema.tables.ledger import QuarantineKind

app = typer.Typer(
    help="List what is in quarantine, read it again, take copies.", no_args_is_help=True
)

IdsArgument = Annotated[
    list[int] | None,
    typer.Argument(metavar="[ID]...", help="As `dicom-node quarantine list` shows them."),
]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that is in quarantine.")]
KindOption = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="Only of this kind: undecodable, conflict, mismatch, unindexable, damaged or stray; "
        "may be repeated.",
    ),
]
_KEYS = ("id", "kind", "reason", "sop_instance_uid", "study_uid", "source", "received_on")


@app.command("list")
def list_(kind: KindOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what is in quarantine, and why."""
    from node.cli.shell.start import configured, run

    rows = run(_rows(configured(config), _kinds(kind)))
    output = Output(json=json)
    shown = [{key: getattr(row, key) for key in (*_KEYS, "sha256", "filepath")} for row in rows]
    if json:
        output.document({"objects": shown})
        return
    if shown:
        output.table(
            [
                Column(key="id", right=True),
                "kind",
                "source",
                Column(key="received_on", title="received"),
                Column(key="sop_instance_uid", title="SOP instance"),
                "reason",
            ],
            shown,
        )
    output.print(f"{len(shown)} objects in quarantine")


@app.command()
def retry(
    ids: IdsArgument = None,
    everything: AllOption = False,
    as_dataset: Annotated[
        bool,
        typer.Option(
            "--as-dataset",
            help="Index an object by what its dataset says, whatever its C-STORE named.",
        ),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Read objects again, as if they had just been received; those that can be are indexed.

    What is indexed is never replaced: a conflict stays. The exit code is 1 when one stays.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run

    chosen = _chosen(ids, everything)
    output = Output(json=json)
    results = run(_retry(configured(config), chosen, output, as_dataset=as_dataset))
    stay = sum(result.outcome == "stays" for result in results)
    if json:
        output.document({"objects": results})
    else:
        for result in results:
            why = f" ({result.kind}): {result.reason}" if result.outcome == "stays" else ""
            output.print(f"{result.id}: {result.outcome}{why}")
        output.print(f"{len(results) - stay} left the quarantine, {stay} stay in it")
    if stay:
        raise typer.Exit(Exit.FAILED)


@app.command()
def export(
    target: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Where to; made when it is missing."),
    ],
    ids: IdsArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Copy objects to a folder, with a CSV of the reasons. The quarantine stays as it is."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run

    chosen = _chosen(ids, everything)
    exported = run(_export(configured(config), chosen, target.absolute()))
    output = Output(json=json)
    if json:
        output.document(exported)
    else:
        output.print(f"{exported.files} files copied; why they are there: {exported.listing}")
    for row_id in exported.missing:
        output.note(f"{row_id}: its file cannot be read")
    if exported.missing:
        raise typer.Exit(Exit.FAILED)


def _chosen(ids: list[int] | None, everything: bool) -> list[int] | None:
    """Return the keys; None for all."""
    from node.errors import UsageError

    if everything == bool(ids):
        raise UsageError("say which: the IDs of `dicom-node quarantine list`, or --all")
    return ids or None


def _kinds(names: list[str] | None) -> "list[QuarantineKind] | None":
    """Return the kinds that were named; None for all."""
    from node.errors import UsageError
    from schema.tables.ledger import QuarantineKind

    unknown = sorted(set(names or ()) - set(QuarantineKind))
    if unknown:
        raise UsageError(f"--kind {unknown[0]}: there is {', '.join(QuarantineKind)}")
    return [QuarantineKind(name) for name in names] if names else None


async def _rows(settings: "Config", kinds: "list[QuarantineKind] | None") -> "list[Quarantined]":
    from node.ops.checking.quarantine import objects
    from schema import Database

    async with Database(settings.storage.resources) as database:
        await database.check()
        return [row async for row in objects(database, kinds=kinds)]


async def _retry(
    settings: "Config", ids: list[int] | None, output: Output, *, as_dataset: bool
) -> "list[Retried]":
    from node.ops.checking.quarantine import Retry, objects
    from schema import Database

    results = []
    async with Database(settings.storage.resources) as database:
        await database.check()
        again = Retry(settings, database, as_dataset=as_dataset)
        try:
            with output.progress("retry", unit="objects") as progress:
                async for row in objects(database, ids=ids):
                    results.append(await again.retry(row))
                    progress.advance()
        finally:
            await again.close()
    return results


async def _export(settings: "Config", ids: list[int] | None, folder: Path) -> "Copies":
    from node.ops.checking.export import export as copy
    from node.ops.checking.quarantine import objects
    from schema import Database

    async with Database(settings.storage.resources) as database:
        await database.check()
        return await copy(objects(database, ids=ids), folder)
