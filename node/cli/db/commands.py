"""`dicom-node db`: create, upgrade and look at the database's schema; dump and mirror it."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.db.dump import dump
from node.cli.db.mirror import mirror
from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Output

if TYPE_CHECKING:
    from pathlib import Path

    from schema import Database
    from schema.engine.migrate import Migration, Revision

app = typer.Typer(help="Create, upgrade, dump and mirror the database.", no_args_is_help=True)
app.command()(dump)
app.command()(mirror)


@app.command()
def init(
    config: ConfigOption = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force-init",
            help="Run the migrations even where the database seems to be up to date.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Create the database and its tables where there are none. Run again, it changes nothing."""
    from node.cli.shell.start import run

    database, name = _database(config)

    async def initialize() -> "Migration":
        async with database:
            return await database.initialize(force=force)

    migration = run(initialize())
    _report(migration, name, "is there already", json=json)


@app.command()
def upgrade(
    config: ConfigOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the SQL that would run, and change nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Bring the tables to the schema that this version knows."""
    from node.cli.shell.start import run

    database, name = _database(config)
    if dry_run:
        _dry_run(database, name, json=json)
        return

    async def migrate() -> "Migration":
        async with database:
            return await database.upgrade()

    migration = run(migrate())
    _report(migration, name, "is up to date", json=json)


@app.command()
def current(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Say which schema the database has. The exit code is 1 unless it is the latest."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import run

    database, name = _database(config)

    async def ask() -> "Revision":
        async with database:
            return await database.current()

    revision = run(ask())
    output = Output(json=json)
    if json:
        output.document(
            {
                "database": name,
                "current": revision.current,
                "head": revision.head,
                "latest": revision.is_head,
            }
        )
    else:
        output.print(f"{name}: {_state(revision)}")
    if not revision.is_head:
        raise typer.Exit(Exit.FAILED)


def _database(config: "Path | None") -> "tuple[Database, str]":
    """Return the configured database, and how to call it in messages."""
    from node.cli.shell.start import configured
    from node.config import mask_url
    from schema import Database

    url = configured(config).storage.resources
    return Database(url), mask_url(url)


def _dry_run(database: "Database", name: str, *, json: bool) -> None:
    """Print nothing but SQL on the standard output, so that it can be piped into a client."""
    from node.cli.shell.start import run

    async def compose() -> str:
        async with database:
            return await database.upgrade_sql()

    sql = run(compose())
    output = Output(json=json)
    if json:
        output.document({"database": name, "sql": sql})
    elif sql.strip():
        output.verbatim(sql)
        output.note(f"{name}: this is what `dicom-node db upgrade` would run.")
    else:
        output.note(f"{name}: is up to date; nothing would run.")


def _report(migration: "Migration", name: str, unchanged: str, *, json: bool) -> None:
    output = Output(json=json)
    if json:
        output.document(
            {
                "database": name,
                "created": migration.created,
                "changed": migration.changed,
                "before": migration.before,
                "after": migration.after,
            }
        )
    else:
        output.print(f"{name}: {_done(migration, unchanged)}")


def _done(migration: "Migration", unchanged: str) -> str:
    if migration.created:
        return f"created, at revision {migration.after}"
    if not migration.changed:
        return f"{unchanged}, at revision {migration.after}; nothing to do"
    if migration.before is None:
        return f"tables created, at revision {migration.after}"
    return f"upgraded from revision {migration.before} to {migration.after}"


def _state(revision: "Revision") -> str:
    if revision.is_head:
        return f"revision {revision.current}, the latest"
    if revision.missing:
        return "does not exist; `dicom-node db init` makes it, where its user may"
    if revision.current is None:
        return "has no tables yet; `dicom-node db init` creates them"
    if not revision.known:
        return (
            f"revision {revision.current}, newer than this version of dicom-node, "
            f"which knows {revision.head}; install a newer one"
        )
    return (
        f"revision {revision.current}, behind the latest, {revision.head}; "
        "`dicom-node db upgrade` brings it there"
    )
