"""Sessions without a `Database` at hand, under the names that pacsanini's users know."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from schema.dumping.dump import dump_database
from schema.engine.database import Database
from schema.engine.migrate import Migration
from schema.engine.source import Source

__all__ = ["DBWrapper", "Database", "dump_database", "get_db_session", "initialize_database"]


@asynccontextmanager
async def get_db_session(db_uri: Source) -> AsyncIterator[AsyncSession]:
    """Open a session on a database; roll back on an error, close it at the end.

    Parameters
    ----------
    db_uri
        The database's URL, or whatever else `Database` accepts.

    Yields
    ------
    AsyncSession
        It is the caller who commits.
    """
    async with Database(db_uri) as db, db.session(write=True) as session:
        yield session


async def initialize_database(
    config: Source | Any,  # noqa: ANN401 - any object with `storage.resources`
    echo: bool = True,
    force_init: bool = False,
) -> Migration:
    """Create the database where there is none, and migrate it to the newest schema.

    Parameters
    ----------
    config
        What `Database` accepts, or an object with `storage.resources`.
    echo
        Log the statements.
    force_init
        Run the migrations even where the schema says that it is up to date.
    """
    storage = getattr(config, "storage", None)
    resources = getattr(storage, "resources", None)
    source: Source = config if resources is None else str(resources)
    async with Database(source, echo=echo) as db:
        return await db.initialize(force=force_init)


class DBWrapper:
    """A database whose connection opens when the first session is asked for.

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
        self._database: Database | None = None
        self._session: AsyncSession | None = None

    async def get_session(self) -> AsyncSession:
        """Return the wrapper's session; opened at the first call."""
        if self._session is None:
            self._database = Database(self.conn_uri, echo=self.debug)
            if self.create_tables:
                await self._database.initialize()
            self._session = self._database.new_session()
        return self._session

    async def close(self) -> None:
        """Close the session, rolling back what was not committed, and the connections."""
        session, self._session = self._session, None
        database, self._database = self._database, None
        if session is not None:
            await session.close()
        if database is not None:
            await database.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
