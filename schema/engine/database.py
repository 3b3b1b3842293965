"""`Database`: one object for the engine, its sessions and the schema's state.

    async with Database("sqlite:///var/node.db") as db:
        await db.initialize()
        async with db.begin() as session:
            await add_image(session, "image.dcm")

Nothing is opened before it is used, and there is no global engine: who makes a Database
disposes of it.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from schema.engine import durability, migrate
from schema.engine.connections import in_memory
from schema.engine.migrate import Migration, Revision
from schema.engine.retry import retrying
from schema.engine.sessions import Sessions
from schema.engine.source import Source, asynchronous_url, shown
from schema.engine.synchronous import SyncDatabase

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """A database of found studies and received images.

    Parameters
    ----------
    source
        A URL (`sqlite:///x.db`, `postgresql://…`), the path of a YAML file with
        ``storage.resources``, the same as a mapping, or None for the environment.
    echo
        Log each statement, with its values: patient data.
    busy_timeout
        Seconds that a writer of SQLite waits for the others.
    statement_timeout
        Seconds after which PostgreSQL gives a statement up.
    pool_size, max_overflow
        Connections kept open, and how many more at most.
    transaction_timeout
        Seconds after which a session is given up, whatever it is at: for programs whose
        transactions are short, and that must notice when a server is frozen or cut off. It
        then sends nothing, not even that a statement has taken too long. None means never.
    info
        What each of its asynchronous sessions has as its `info`.

    Raises
    ------
    InvalidDatabaseSource
        When the source names no database.
    """

    def __init__(
        self,
        source: Source = None,
        *,
        echo: bool = False,
        busy_timeout: float = 30.0,
        statement_timeout: float = 60.0,
        pool_size: int = 5,
        max_overflow: int = 10,
        transaction_timeout: float | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        self._url = asynchronous_url(source)
        self._sync = SyncDatabase(
            self._url,
            echo=echo,
            busy_timeout=busy_timeout,
            statement_timeout=statement_timeout,
        )
        self._sessions = Sessions(
            self._url,
            echo=echo,
            busy_timeout=busy_timeout,
            statement_timeout=statement_timeout,
            pool_size=pool_size,
            max_overflow=max_overflow,
            transaction_timeout=transaction_timeout,
            info=info,
        )

    def __str__(self) -> str:
        return shown(self._url)

    def __repr__(self) -> str:
        return f"Database({str(self)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.dispose()

    @property
    def url(self) -> URL:
        """The database's URL, with its driver (and its password)."""
        return self._url

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database; None for one in memory and for PostgreSQL."""
        if self.dialect != "sqlite" or in_memory(self._url):
            return None
        return Path(self._url.database or "")

    @property
    def engine(self) -> AsyncEngine:
        """The SQLAlchemy engine, for what sessions do not offer."""
        return self._sessions.engine

    @property
    def sync(self) -> SyncDatabase:
        """The same database for synchronous code: a notebook, pandas."""
        return self._sync

    async def dispose(self) -> None:
        """Close all connections; the object opens new ones when it is used again."""
        self._sync.dispose()
        await self._sessions.dispose()

    def new_session(self, *, write: bool = True) -> AsyncSession:
        """Return a session that the caller closes; drivers' errors come as they are."""
        return self._sessions.new(write=write)

    def session(self, *, write: bool = False) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a session that reads; its transactions begin by themselves.

        Parameters
        ----------
        write
            Let it write as well: it is then the caller who commits. On SQLite it takes the write
            lock at its first statement. Without this, the database refuses every change.

        Raises
        ------
        ReadOnlySession
            When it changes something, and was not opened to write.
        DatabaseUnavailable
            When the database is away, overloaded or locked for too long.
        """
        return self._sessions.session(write=write)

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Open one writing transaction: committed at the end, rolled back on an error.

        Writers of one `Database` on SQLite take turns, in the order in which they came,
        instead of all polling for the lock; a transaction must therefore not open another.

        Raises
        ------
        DatabaseUnavailable
            When the database is away, overloaded or locked for too long.
        """
        return self._sessions.begin()

    async def run(
        self,
        function: Callable[Concatenate[AsyncSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a function in one writing transaction, again when it lost a conflict.

            image = await db.run(add_image, "image.dcm")

        Parameters
        ----------
        function
            What takes a session as its first argument. Whatever it does outside the database may
            happen several times.
        args, kwargs
            Its other arguments.

        Raises
        ------
        DatabaseUnavailable
            When the database is away, or when the last of several attempts lost as well.
        ValuesRefused
            When the database does not take the values.
        """
        return await retrying(self, lambda session: function(session, *args, **kwargs))

    async def initialize(self, force: bool = False) -> Migration:
        """Create the database where there is none, and migrate it to the newest schema.

        Parameters
        ----------
        force
            Run the migrations even where the schema says that it is up to date.

        Returns
        -------
        Migration
            What was there before; `changed` tells whether anything was done.

        Raises
        ------
        SchemaAhead
            When the schema is newer than this program.
        DatabaseUnavailable
            When the database cannot be reached.
        """
        return await migrate.initialize(self._sessions.engine, force=force)

    async def upgrade(self) -> Migration:
        """Migrate an existing database to the newest schema.

        Raises
        ------
        SchemaMissing
            When there is no database.
        SchemaAhead
            When the schema is newer than this program.
        """
        migrate.require_file(self._sessions.engine.url)
        await migrate.use_wal(self._sessions.engine.url)
        return await migrate.upgrade(self._sessions.engine)

    async def upgrade_sql(self) -> str:
        """Return the SQL that `upgrade` would run, for `sqlite3` or `psql`; touch nothing.

        Returns
        -------
        str
            Empty when the schema is up to date.
        """
        return await migrate.upgrade_sql(self._sessions.engine)

    async def current(self) -> Revision:
        """Return which schema the database has, and which one this program needs."""
        return await migrate.current(self._sessions.engine)

    async def check(self) -> None:
        """Make sure that the database is there with the schema that this program needs.

        Raises
        ------
        SchemaMissing, SchemaBehind, SchemaAhead
            With the command to run.
        DatabaseUnavailable
            When the database cannot be reached.
        """
        migrate.require_file(self._url)
        migrate.require_head(await self.current(), str(self))

    async def weaknesses(self) -> list[str]:
        """Return what keeps a commit from being durable, a sentence each, to be warned of.

        PostgreSQL with `fsync`, `full_page_writes` or `synchronous_commit` off may lose images
        that were acknowledged.

        Raises
        ------
        DatabaseUnavailable
            When the database cannot be reached.
        """
        return await durability.weaknesses(self._sessions.engine)
