"""Making one database like another: `mirror`.

1. The source is read in one snapshot; table by table, parents first, page by page.
2. Rows that the target lacks or has otherwise are written there with their ids, a page in a
   transaction. A mirror that is broken off goes on where it stopped: what is equal is not
   written again.
3. Rows that the source no longer has are deleted, children first.
4. What was changed is read again on both sides, and counted and digested.
"""

from sqlalchemy import text

from schema.engine.database import Database
from schema.errors import MirrorRefused, SchemaAhead, SchemaBehind, SchemaMissing
from schema.mirroring.round import MirrorReport, Watch, opened
from schema.tables.metadata import mirrored_tables


async def mirror(
    source: Database,
    target: Database,
    *,
    check: bool = False,
    overwrite: bool = False,
    watch: Watch = lambda _table, _rows: None,
) -> MirrorReport:
    """Make `target` like `source`, with the same ids, and compare them at the end.

    Run again, it writes only what differs. The source may be written meanwhile: it is read as
    it was at one moment. Between SQLite and PostgreSQL, texts are made such that PostgreSQL
    takes them: NUL becomes U+FFFD, as it does when an image is inserted.

    Parameters
    ----------
    target
        Created, or given its tables, where that is needed. Nobody else may write to it.
    check
        Only compare.
    overwrite
        Go on where the target is the mirror of another source, or of this one at a later time,
        or where somebody else has written to it. What only the target has is deleted.
    watch
        Called with a table's name and the number of its rows that were compared last. What it
        raises breaks the mirror off.

    Raises
    ------
    MirrorRefused
        When both are one database, or the target has rows that are not the source's; without
        `overwrite` also when the source is another one than last time, or has gone back behind
        what the target was given. Nothing was written.
    SchemaMissing, SchemaBehind, SchemaAhead
        When one of them does not have the schema of this version.
    DatabaseUnavailable
        When one of them is away.
    MirrorFailed
        When rows cannot be read, or the target does not take them.
    """
    await prepare(source, target, check=check)
    async with opened(source, target, watch=watch, overwrite=overwrite) as mirroring:
        if check:
            return MirrorReport(
                tables=tuple([await mirroring.check(table) for table in mirrored_tables()])
            )
        return await mirroring.everything()


async def prepare(source: Database, target: Database, *, check: bool = False) -> None:
    """Make sure that the databases are two, and that both have the schema of this version."""
    await source.check()
    if await _is_same(source, target):
        raise MirrorRefused(f"{source} and {target} are the same database")
    state = await target.current()
    if state.current is None and not check:
        await target.initialize()
    try:
        await target.check()
    except (SchemaBehind, SchemaAhead) as error:
        raise type(error)(
            f"{error}; for another database than the configured one, set"
            " DICOM_NODE__STORAGE__RESOURCES to its URL"
        ) from error


async def _is_same(one: Database, other: Database) -> bool:
    if one.dialect != other.dialect:
        return False
    if one.dialect == "sqlite":
        first, second = one.path, other.path
        if first is None or second is None:
            return one is other
        return first.resolve() == second.resolve() or (
            first.exists() and second.exists() and first.samefile(second)
        )
    try:
        return await _server_identity(one) == await _server_identity(other)
    except SchemaMissing:
        return False


async def _server_identity(database: Database) -> tuple[object, ...]:
    """Return what only connections to one database of one server have in common."""
    query = (
        "SELECT pg_postmaster_start_time(), oid FROM pg_database WHERE datname = current_database()"
    )
    async with database.session() as session:
        return tuple((await session.execute(text(query))).one())
