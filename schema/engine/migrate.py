"""The schema's state in a database, and the way from one state to the next.

All revisions run in one transaction under a lock (PostgreSQL: an advisory lock; SQLite: the
write lock), so that of several nodes that start at once exactly one migrates and the others
find the work done. Every command asks at its start which revision a database has; alembic is
needed only to change it.
"""

import asyncio
import re
import shlex
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from schema.engine.connections import WRITING, in_memory, make_engine
from schema.engine.durability import make_folder
from schema.engine.faults import SQLITE_READ_ONLY, sqlstate_of, translated
from schema.engine.sqlite.file import check_file
from schema.errors import (
    DatabaseReadOnly,
    DatabaseUnavailable,
    SchemaAhead,
    SchemaBehind,
    SchemaMissing,
)

_LOCK = 0x6469636F6D  # "dicom": the key of the advisory lock under which one node migrates
_WAL = "PRAGMA journal_mode=WAL"
_WAL_PATIENCE = 30.0
_EXISTS = frozenset({"42P04", "23505"})  # duplicate_database; two CREATE DATABASE at once

_VERSION = re.compile(r"([0-9]{4})_\w+\.py")
"""The name of a migration's file, which begins with its revision; they are in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Which schema a database has.

    Attributes
    ----------
    current
        Its revision; None when it has no schema of ours.
    head
        The newest one that this program knows.
    known
        Whether this program knows the current one.
    missing
        Whether the server has no database of that name at all.
    """

    current: str | None
    head: str
    known: bool
    missing: bool = False

    @property
    def is_head(self) -> bool:
        """Whether the schema is what this program needs."""
        return self.current == self.head


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What an initialisation or an upgrade did.

    Attributes
    ----------
    created
        Whether the database itself had to be created.
    before, after
        The revisions; `before` is None when there was no schema.
    """

    created: bool
    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return self.before != self.after


def revisions() -> list[str]:
    """Return the revisions that this program knows, the newest last."""
    names = [path.name for path in resources.files("migrations").joinpath("versions").iterdir()]
    return sorted(match[1] for name in names if (match := _VERSION.fullmatch(name)))


def _describe(revision: str | None) -> Revision:
    known = revisions()
    if not known:
        raise SchemaMissing("the migrations are not installed")
    return Revision(current=revision, head=known[-1], known=revision is None or revision in known)


def require_head(revision: Revision, where: str) -> None:
    """Raise unless the schema is what this program needs; say which command to run."""
    if revision.missing:
        raise SchemaMissing(
            f"{where} does not exist: its server has no database of that name; "
            "`dicom-node db init` makes it, where its user may"
        )
    if revision.current is None:
        raise SchemaMissing(f"{where} has no schema yet; run `dicom-node db init`")
    if not revision.known:
        raise SchemaAhead(
            f"{where} has schema {revision.current}, made by a newer dicom-node than this one,"
            f" which knows {revision.head}; install the newer version"
            " (`dicom-node db current` shows both)"
        )
    if not revision.is_head:
        raise SchemaBehind(
            f"{where} has schema {revision.current}, this version needs {revision.head};"
            " run `dicom-node db upgrade`"
        )


async def current(engine: AsyncEngine) -> Revision:
    """Return the schema's state; a database that does not exist has none."""
    if _is_missing_file(engine.url):
        return await asyncio.to_thread(_describe, None)
    try:
        with translated():
            async with engine.connect() as connection:
                found = await connection.run_sync(_stored_revision)
    except SchemaMissing:
        return replace(await asyncio.to_thread(_describe, None), missing=True)
    return await asyncio.to_thread(_describe, found)


def _stored_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _is_missing_file(url: URL) -> bool:
    if url.get_backend_name() != "sqlite" or in_memory(url):
        return False
    return not Path(url.database or "").exists()


def require_file(url: URL) -> None:
    """Raise SchemaMissing when the file of a SQLite database does not exist."""
    if _is_missing_file(url):
        raise SchemaMissing(f"{url.database} does not exist; run `dicom-node db init`")


async def initialize(engine: AsyncEngine, *, force: bool = False) -> Migration:
    """Create the database where there is none, and migrate it to the newest revision.

    Errors as `create_database` and `upgrade` have them.
    """
    created = await create_database(engine)
    return await upgrade(engine, created=created, force=force)


async def create_database(engine: AsyncEngine) -> bool:
    """Create the database itself where there is none; tell whether that was needed."""
    if engine.url.get_backend_name() == "sqlite":
        return await use_wal(engine.url)
    try:
        with translated():
            async with engine.connect():
                return False
    except SchemaMissing:
        return await _create_on_server(engine.url)


async def use_wal(url: URL) -> bool:
    """Put a SQLite database in WAL mode, in which readers never wait for the writer.

    The mode is the file's, not the connection's, and is set before a migration. The file and
    its folder are created where needed; the answer tells whether the file was.
    """
    if url.get_backend_name() != "sqlite":
        return False
    return in_memory(url) or await asyncio.to_thread(_use_wal, Path(url.database or ""))


def _use_wal(path: Path) -> bool:
    created = not path.exists()
    deadline = time.monotonic() + _WAL_PATIENCE
    try:
        make_folder(path.parent)
        check_file(path)
        with closing(sqlite3.connect(path, timeout=_WAL_PATIENCE)) as connection:
            # SQLite does not wait here by itself when another node does the same.
            while not _switched(connection, last=time.monotonic() >= deadline):
                time.sleep(0.02)
    except (OSError, sqlite3.Error) as error:
        if SQLITE_READ_ONLY in str(error):
            raise DatabaseReadOnly(f"the database may only be read here: {error}") from error
        raise DatabaseUnavailable(f"{path} cannot be created or opened: {error}") from error
    return created


def _switched(connection: sqlite3.Connection, *, last: bool) -> bool:
    try:
        connection.execute(_WAL)
    except sqlite3.OperationalError as error:
        if last or "locked" not in str(error):
            raise
        return False
    return True


async def _create_on_server(url: URL) -> bool:
    """Run CREATE DATABASE by way of the server's maintenance database."""
    server = make_engine(url.set(database="postgres"), pool_size=1)
    name = server.dialect.identifier_preparer.quote_identifier(url.database or "")
    try:
        with translated():
            async with server.connect() as connection:
                autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await autocommit.exec_driver_sql(f"CREATE DATABASE {name}")
    except DBAPIError as error:
        if sqlstate_of(error) in _EXISTS:
            return False  # another node was faster
        raise DatabaseUnavailable(
            f"the database {url.database} does not exist and cannot be created: {error.orig}"
        ) from error
    except DatabaseReadOnly as error:
        raise DatabaseReadOnly(_to_be_made(url, error)) from error
    finally:
        await server.dispose()
    return True


def _to_be_made(url: URL, error: DatabaseReadOnly) -> str:
    """Say what to do about a database that this user may not make."""
    user, name = shlex.quote(url.username or "USER"), shlex.quote(url.database or "NAME")
    return (
        f"the database {url.database} does not exist, and {url.username or 'this user'} may not "
        f"make it ({error.__cause__.orig if isinstance(error.__cause__, DBAPIError) else error}): "
        f"an administrator of the server does, with `createdb -O {user} {name}`, and "
        "`dicom-node db init` makes its tables then"
    )


async def upgrade(engine: AsyncEngine, *, created: bool = False, force: bool = False) -> Migration:
    """Migrate to the newest revision, in one transaction and under a lock.

    Raises
    ------
    SchemaAhead
        When the schema is newer than this program.
    """
    writer = engine.execution_options(**WRITING)
    with translated():
        async with writer.begin() as connection:
            before, after = await connection.run_sync(_migrate, force, str(engine.url))
    return Migration(created=created, before=before, after=after)


def _migrate(connection: Connection, force: bool, where: str) -> tuple[str | None, str]:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    before = _describe(_stored_revision(connection))
    if not before.known:
        require_head(before, where)
    if force or not before.is_head:
        from schema.engine.revisions import run  # noqa: PLC0415 - alembic: 0.13 s to load

        run(connection)
    return before.current, before.head


async def upgrade_sql(engine: AsyncEngine) -> str:
    """Return the SQL of the upgrade; empty when there is nothing to do."""
    state = await current(engine)
    if not state.known:
        require_head(state, str(engine.url))
    if state.is_head:
        return ""
    return await asyncio.to_thread(_offline, engine.url.get_backend_name(), state)


def _offline(dialect: str, state: Revision) -> str:
    from schema.engine.revisions import written  # noqa: PLC0415 - alembic: 0.13 s to load

    # Outside of the transaction, where alone the mode can be changed.
    first = f"{_WAL};\n\n" if dialect == "sqlite" else ""
    return first + written(dialect, state.current, state.head).strip() + "\n"
