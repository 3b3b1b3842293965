"""Sessions without a `Database` at hand, under the names that pacsanini's users know.

Each of them is for both kinds of code, `with` and `async with`:

    with get_db_session("sqlite:///var/node.db") as session:
        add_image(session, "image.dcm")
        session.commit()

    async with get_db_session("sqlite:///var/node.db") as session:
        await add_image(session, "image.dcm")
        await session.commit()
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from schema.dumping.dump import dump_database
from schema.engine.database import Database
from schema.engine.migrate import Migration
from schema.engine.source import Source, asynchronous_url, synchronous_url
from schema.engine.synchronous import SyncDatabase

__all__ = [
    "DBWrapper",
    "Database",
    "SessionOnURL",
    "database_url",
    "dump_database",
    "get_db_session",
    "initialize_database",
]


def database_url(config: Source = None) -> URL:
    """Return where a database is, as `sqlalchemy.create_engine` takes it.

    Parameters
    ----------
    config
        What `Database` accepts: a configuration, the path of its file, a URL, or None for the
        environment.

    Raises
    ------
    InvalidDatabaseSource
        When it names no database.
    DriverMissing
        On PostgreSQL, when psycopg is not installed.
    """
    return synchronous_url(asynchronous_url(config))


def get_db_session(db_uri: Source) -> "SessionOnURL":
    """Open a session on a database; roll back on an error, close it at the end.

    It is the caller who commits.

    Parameters
    ----------
    db_uri
        The database's URL, or whatever else `Database` accepts.

    Returns
    -------
    SessionOnURL
        For `with`, which gives a `Session`, or for `async with`, which gives an `AsyncSession`.
    """
    return SessionOnURL(db_uri)


class SessionOnURL:
    """A session that `with` or `async with` opens and closes; errors as `Database.session`."""

    def __init__(self, db_uri: Source) -> None:
        self._waiting = _waiting(db_uri)
        self._awaited = _awaited(db_uri)

    def __enter__(self) -> Session:
        return self._waiting.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiting.__exit__(kind, error, traceback)

    async def __aenter__(self) -> AsyncSession:
        return await self._awaited.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._awaited.__aexit__(kind, error, traceback)


@contextmanager
def _waiting(db_uri: Source) -> Iterator[Session]:
    with SyncDatabase(db_uri) as db, db.session(write=True) as session:
        yield session


@asynccontextmanager
async def _awaited(db_uri: Source) -> AsyncIterator[AsyncSession]:
    async with Database(db_uri) as db, db.session(write=True) as session:
        yield session


async def initialize_database(
    config: Source,
    echo: bool = True,
    force_init: bool = False,
) -> Migration:
    """Create the database where there is none, and migrate it to the newest schema.

    Synchronous code writes `SyncDatabase(config).initialize()`.

    Parameters
    ----------
    config
        What `Database` accepts.
    echo
        Log the statements.
    force_init
        Run the migrations even where the schema says that it is up to date.
    """
    async with Database(config, echo=echo) as db:
        return await db.initialize(force=force_init)


class DBWrapper:
    """A database whose connection opens when the first session is asked for.

        with DBWrapper("sqlite:///x.db", create_tables=True) as wrapper:
            session = wrapper.conn()

        async with DBWrapper("sqlite:///x.db", create_tables=True) as wrapper:
            session = await wrapper.get_session()

    Attributes
    ----------
    conn_uri
        The database's URL, or whatever else `Database` accepts.
    create_tables
        Whether to initialise the database with the first session.
    debug
        Log each statement.
    """

    def __init__(
        self,
        conn_uri: Source,
        create_tables: bool = False,
        debug: bool = False,
    ) -> None:
        self.conn_uri = conn_uri
        self.create_tables = create_tables
        self.debug = debug
        self._sync_database: SyncDatabase | None = None
        self._sync_session: Session | None = None
        self._database: Database | None = None
        self._session: AsyncSession | None = None

    def conn(self) -> Session:
        """Return the wrapper's synchronous session; opened at the first call."""
        if self._sync_session is None:
            self._sync_database = SyncDatabase(self.conn_uri, echo=self.debug)
            if self.create_tables:
                self._sync_database.initialize()
            self._sync_session = self._sync_database.new_session()
        return self._sync_session

    async def get_session(self) -> AsyncSession:
        """Return the wrapper's asynchronous session; opened at the first call."""
        if self._session is None:
            self._database = Database(self.conn_uri, echo=self.debug)
            if self.create_tables:
                await self._database.initialize()
            self._session = self._database.new_session()
        return self._session

    def close(self) -> Awaitable[None]:
        """Close the sessions, rolling back what was not committed, and the connections.

        Returns
        -------
        Awaitable[None]
            What closes the asynchronous session; the synchronous one is closed already.
        """
        session, self._sync_session = self._sync_session, None
        database, self._sync_database = self._sync_database, None
        if session is not None:
            session.close()
        if database is not None:
            database.dispose()
        return _Closing(self._close)

    async def _close(self) -> None:
        session, self._session = self._session, None
        database, self._database = self._database, None
        if session is not None:
            await session.close()
        if database is not None:
            await database.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self._session is not None and error is None:
            raise TypeError(
                "DBWrapper.get_session() was asked for an asynchronous session, which plain `with`"
                " cannot close: write `async with DBWrapper(…)`, or wrapper.conn()"
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class _Closing:
    """The rest of closing a wrapper, for who awaits it; synchronous code has nothing to await."""

    def __init__(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._close = close

    def __await__(self) -> Generator[Any, None, None]:
        return self._close().__await__()
