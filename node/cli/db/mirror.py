"""`dicom-node db mirror`: make another database like the configured one, or keep it so."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import ConfigOption, JsonOption, QuietOption
from node.cli.shell.output import Column, Output
from schema.text.words import counted

if TYPE_CHECKING:
    from schema import Database, DatabaseUnavailable
    from schema.mirroring.follow import Round
    from schema.mirroring.round import MirrorReport

TARGET_VARIABLE = "DICOM_NODE_MIRROR_TO"
"""What ``--target`` is taken from: a password on a command line is seen by everybody."""


def mirror(
    to: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="URL",
            envvar=TARGET_VARIABLE,
            show_envvar=False,
            help="The other database: sqlite:///… or postgresql://…; made when it is missing. "
            f"Else ${TARGET_VARIABLE}.",
        ),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until SIGTERM or Control-C.")
    ] = False,
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="10s",
            help="With --follow: the time from one round to the next; 10s unless said.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare; the exit code is 1 when they differ.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also when the mirror is of another database, of a later state of this one, or "
            "was written to by somebody else: what only it has is deleted.",
        ),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make another database like this one, row by row, and compare the two at the end.

    Run again, it writes only what differs. The exit code is 1 when the two differ at the end.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from schema import Database
    from schema.engine.located import in_memory

    if follow and (check or json):
        raise UsageError("--follow goes without --check and --json: it does not end")
    if overwrite and check:
        raise UsageError("--force goes without --check, which writes nothing")
    if interval is not None and not follow:
        raise UsageError("--interval goes with --follow")
    if in_memory(to):
        raise UsageError(
            "--target: a database in memory is gone when the command ends; name a file, "
            "sqlite:///mirror.db"
        )
    seconds = _seconds(interval or "10s")
    target = Database(to)
    source = Database(configured(config).storage.resources)
    output = Output(json=json, quiet=quiet)
    if follow:
        run(_follow(source, target, seconds, output, overwrite=overwrite))
        return
    report = run(_mirror(source, target, check=check, overwrite=overwrite, output=output))
    _print(report, output, check=check)
    if not report.equal:
        output.note(f"the databases differ in {_different(report)}")
        raise typer.Exit(Exit.FAILED)


def _seconds(interval: str) -> float:
    from node.config import Duration
    from node.errors import UsageError

    try:
        return float(Duration.parse(interval))
    except ValueError as error:
        raise UsageError(f"--interval {interval}: {error}") from error


async def _mirror(
    source: "Database", target: "Database", *, check: bool, overwrite: bool, output: Output
) -> "MirrorReport":
    from schema.mirroring.once import mirror as make_alike

    label = "compare" if check else "mirror"
    with output.progress(label, unit="rows compared") as progress:

        def watch(table: str, rows: int) -> None:
            progress.update(text=table)
            progress.advance(rows)

        async with source, target:
            return await make_alike(source, target, check=check, overwrite=overwrite, watch=watch)


async def _follow(
    source: "Database", target: "Database", interval: float, output: Output, *, overwrite: bool
) -> None:
    import asyncio

    from node.daemon.supervisor import stop_on_signals
    from schema.mirroring.follow import follow

    stop = asyncio.Event()
    stop_on_signals(stop)

    def say(text: str) -> None:
        output.note(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}")  # noqa: DTZ005 - local, as logs

    def watch(done: "Round") -> None:
        if done.report is not None:
            rows = sum(table.source_rows for table in done.report.tables)
            verified = "equal" if done.report.equal else f"DIFFERENT in {_different(done.report)}"
            say(f"compared {counted(rows, 'row')} in {done.seconds:.1f} s: {verified}")
        if done.inserted or done.updated or done.deleted:
            new = counted(done.inserted, "row")
            say(f"{new} new, {done.updated} changed, {done.deleted} deleted")

    def trouble(error: "DatabaseUnavailable", seconds: float) -> None:
        say(f"{error}; again in {seconds:.0f} s")

    async with source, target:
        say(f"following {source} into {target}")
        await follow(
            source,
            target,
            stop=stop,
            interval=interval,
            overwrite=overwrite,
            watch=watch,
            trouble=trouble,
        )
        say("stopped")


def _different(report: "MirrorReport") -> str:
    return ", ".join(table.table for table in report.tables if not table.equal)


def _print(report: "MirrorReport", output: Output, *, check: bool) -> None:
    if output.json:
        output.document({"equal": report.equal, "tables": report.tables})
        return
    done = (
        [Column(key=name, right=True) for name in ("missing", "different", "excess")]
        if check
        else [
            Column(key="inserted", title="new", right=True),
            Column(key="updated", title="changed", right=True),
            Column(key="deleted", right=True),
        ]
    )
    output.table(
        [
            "table",
            Column(key="source_rows", title="rows", right=True),
            Column(key="target_rows", title="there", right=True),
            *done,
            "digest",
            Column(key="there", title="digest there"),
            "equal",
        ],
        [
            {
                "table": table.table,
                "source_rows": table.source_rows,
                "target_rows": table.target_rows,
                "inserted": table.inserted,
                "updated": table.updated,
                "deleted": table.deleted,
                "missing": table.missing,
                "different": table.different,
                "excess": table.excess,
                "digest": table.source_digest[:12],
                "there": table.target_digest[:12],
                "equal": table.equal,
            }
            for table in report.tables
        ],
    )
