"""`dicom-node quarantine`: what was received and is no image of the index."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.options import (
    ConfigOption,
    ForceOption,
    JsonOption,
    QuietOption,
    leave_what_is_there,
)
from node.cli.shell.output import Column, Output
from schema.text.words import counted, verb

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.checking.deciding import Discarded
    from node.ops.checking.export import Copies
    from node.ops.checking.quarantine import Retried, Retry
    from schema import Database, Quarantined
    from schema.tables.ledger import QuarantineKind

app = typer.Typer(
    help="List what is in quarantine, read it again, take copies, decide.", no_args_is_help=True
)

IdsArgument = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="ID",
        help="As `dicom-node quarantine list` shows them.",
        autocompletion=completion.quarantined,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that is in quarantine.")]
KindOption = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        autocompletion=completion.kinds,
        help="Only of this kind: undecodable, conflict, mismatch, unindexable, damaged or stray; "
        "may be repeated.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
_KEYS = (
    *("id", "kind", "reason", "sop_instance_uid", "study_uid"),
    *("source", "also_from", "received_on"),
)


@app.command("list")
def list_(kind: KindOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what is in quarantine, and why."""
    from node.cli.shell.start import configured, run

    rows = run(_rows(configured(config), _kinds(kind)))
    from schema.quarantine import senders

    output = Output(json=json)
    shown = [{key: getattr(row, key) for key in (*_KEYS, "sha256", "filepath")} for row in rows]
    if json:
        output.document({"objects": shown})
        return
    for row in shown:
        row["source"] = ", ".join(senders(row["source"], row["also_from"]))
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
    output.print(f"{counted(len(shown), 'object')} in quarantine")


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
    quiet: QuietOption = False,
) -> None:
    """Read objects again, as if they had just been received; those that can be are indexed.

    What is indexed is never replaced: a conflict stays. The exit code is 1 when one stays.
    """
    from node.cli.shell.start import configured, run

    chosen = _chosen(ids, everything)
    output = Output(json=json, quiet=quiet)
    results = run(_retry(configured(config), chosen, output, as_dataset=as_dataset))
    _print_outcomes(results, output)


@app.command()
def accept(
    ids: Annotated[
        list[int],
        typer.Argument(
            metavar="ID...",
            help="As `dicom-node quarantine list` shows them.",
            autocompletion=completion.quarantined,
        ),
    ],
    yes: YesOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let objects be the images: what was indexed under their SOP Instance UIDs is set aside.

    Nothing is lost: the other object is in quarantine then. The exit code is 1 when one stays.
    --yes replaces the row of an image whose file is gone as well.
    """
    from node.cli.shell.start import configured, run

    output = Output(json=json, quiet=quiet)
    results = run(_accept(configured(config), ids, output, replace_lost=yes))
    _print_outcomes(results, output)


@app.command()
def discard(
    ids: IdsArgument = None,
    everything: AllOption = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove objects for ever, files and rows. Asks before, unless --yes says that it is meant."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError

    settings = configured(config)
    rows = run(_chosen_rows(settings, _chosen(ids, everything)))
    output = Output(json=json, quiet=quiet)
    for row in rows if not yes else ():
        output.note(f"{row.id}: {row.kind}, {row.sop_instance_uid or row.filepath}: {row.reason}")
    if rows and not yes:
        what = "this object" if len(rows) == 1 else f"these {counted(len(rows), 'object')}"
        if not sys.stdin.isatty():
            raise UsageError(f"--yes removes {what} for ever; nothing is removed")
        if not typer.confirm(f"Remove {what} for ever?", err=True):
            output.note("nothing is removed")
            raise typer.Exit(Exit.FAILED)
    results = run(_discard(settings, [row.id for row in rows]))
    stay = [result for result in results if not result.discarded]
    if json:
        output.document({"objects": results})
    for result in stay:
        output.note(f"{result.id}: stays: {result.reason}")
    left = len(results) - len(stay)
    output.print(f"{counted(left, 'object')} removed, {len(stay)} {verb(len(stay), 'stay')}")
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
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy objects to a folder, with a CSV of the reasons. The quarantine stays as it is."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.ops.checking.export import LISTING

    chosen = _chosen(ids, everything)
    leave_what_is_there([target / LISTING], force=force)
    exported = run(_export(configured(config), chosen, target.absolute()))
    output = Output(json=json, quiet=quiet)
    if json:
        output.document(exported)
    else:
        copied = counted(exported.files, "file")
        output.print(f"{copied} copied; why they are there: {exported.listing}")
    for row_id in exported.missing:
        output.note(f"{row_id}: its file cannot be read")
    if exported.missing:
        raise typer.Exit(Exit.FAILED)


def _print_outcomes(results: "list[Retried]", output: Output) -> None:
    from node.cli.shell.exits import Exit

    stay = sum(result.outcome == "stays" for result in results)
    if output.json:
        output.document({"objects": results})
    else:
        for result in results:
            why = f" ({result.kind}): {result.reason}" if result.outcome == "stays" else ""
            output.print(f"{result.id}: {result.outcome}{why}")
        left = len(results) - stay
        output.print(f"{left} of these left the quarantine, {stay} {verb(stay, 'stay')} in it")
    if stay:
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
    from node.cli.shell.start import database_of
    from node.ops.checking.quarantine import objects

    async with database_of(settings) as database:
        return [row async for row in objects(database, kinds=kinds)]


async def _retry(
    settings: "Config", ids: list[int] | None, output: Output, *, as_dataset: bool
) -> "list[Retried]":
    from node.cli.shell.start import database_of
    from node.ops.checking.quarantine import Retry

    async with database_of(settings) as database:
        return await _read_again(
            Retry(settings, database, as_dataset=as_dataset), database, ids, output
        )


async def _accept(
    settings: "Config", ids: list[int], output: Output, *, replace_lost: bool
) -> "list[Retried]":
    from node.cli.shell.start import database_of
    from node.ops.checking.deciding import Acceptance

    async with database_of(settings) as database:
        acceptance = Acceptance(settings, database, replace_lost=replace_lost)
        return await _read_again(acceptance, database, ids, output)


async def _read_again(
    again: "Retry", database: "Database", ids: list[int] | None, output: Output
) -> "list[Retried]":
    from node.ops.checking.quarantine import objects

    results = []
    try:
        with output.progress("read", unit="objects") as progress:
            async for row in objects(database, ids=ids):
                results.append(await again.retry(row))
                progress.advance()
    finally:
        await again.close()
    return results


async def _chosen_rows(settings: "Config", ids: list[int] | None) -> "list[Quarantined]":
    from node.cli.shell.start import database_of
    from node.ops.checking.quarantine import objects

    async with database_of(settings) as database:
        return [row async for row in objects(database, ids=ids)]


async def _discard(settings: "Config", ids: list[int]) -> "list[Discarded]":
    from node.cli.shell.start import database_of
    from node.ops.checking.deciding import discard as discard_one
    from node.ops.checking.quarantine import objects

    async with database_of(settings) as database:
        rows = [row async for row in objects(database, ids=ids)]
        return [await discard_one(settings, database, row) for row in rows]


async def _export(settings: "Config", ids: list[int] | None, folder: Path) -> "Copies":
    from node.cli.shell.start import database_of
    from node.ops.checking.export import export as copy
    from node.ops.checking.quarantine import check_ids, objects

    async with database_of(settings) as database:
        if ids is not None:  # before a folder is made
            await check_ids(database, ids)
        return await copy(objects(database, ids=ids), folder)
