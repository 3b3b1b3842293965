"""The database for synchronous code: notebooks, scripts, pandas.

    with SyncDatabase("sqlite:///var/node.db") as db, db.session() as session:
        for image in session.scalars(select(Image)):
            print(image)

The same tables, finders and promises as `Database`, through the synchronous drivers: the one
of the standard library for SQLite, psycopg for PostgreSQL. Relationships are loaded when they
are looked at.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from schema.engine import migrate
from schema.engine.connections import (
    READING,
    WRITING,
    in_memory,
    open_as_file,
    prepare_sqlite,
)
from schema.engine.faults import translated
from schema.engine.migrate import Migration
from schema.engine.retry import retrying
from schema.engine.sessions import Sessions
from schema.engine.source import Source, asynchronous_url, shown, synchronous_url
from schema.errors import (
    DatabaseUnavailable,
    InvalidDatabaseSource,
    SchemaError,
    SchemaMissing,
)
from schema.tables.columns import decode_json, encode_json

P = ParamSpec("P")
T = TypeVar("T")

_OPTIONS = {"application_name": "dicom-node", "connect_timeout": "10"}


class SyncDatabase:
    """A database of found studies and received images, without `await`.

    Parameters
    ----------
    source
        As `Database` accepts it.
    echo
        Log each statement, with its values: patient data.
    busy_timeout
        Seconds that a writer of SQLite waits for the others.
    statement_timeout
        Seconds after which PostgreSQL gives a statement up.

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
    ) -> None:
        self._url = asynchronous_url(source)
        self._echo = echo
        self._busy_timeout = busy_timeout
        self._statement_timeout = statement_timeout

    def __str__(self) -> str:
        return shown(self._url)

    def __repr__(self) -> str:
        return f"SyncDatabase({str(self)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.dispose()

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for `pandas.read_sql` and what sessions do not offer.

        Raises
        ------
        DriverMissing
            On PostgreSQL, when psycopg is not installed.
        InvalidDatabaseSource
            For a SQLite database in memory, which only the connection that made it can see.
        """
        _refuse_memory(self._url)
        return _make_engine(
            self._url,
            echo=self._echo,
            busy_timeout=self._busy_timeout,
            statement_timeout=self._statement_timeout,
        )

    @cached_property
    def _by_writing(self) -> dict[bool, Engine]:
        """The engine as sessions have it that read, and as those that write."""
        options = {False: READING, True: WRITING}
        return {write: self.engine.execution_options(**one) for write, one in options.items()}

    def dispose(self) -> None:
        """Close all connections; the object opens new ones when it is used again."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    def new_session(self, *, write: bool = True) -> Session:
        """Return a session that the caller closes; drivers' errors come as they are."""
        return Session(self._by_writing[write], expire_on_commit=False)

    @contextmanager
    def session(self, *, write: bool = False) -> Iterator[Session]:
        """Open a session that reads, as `Database.session` does.

        Parameters
        ----------
        write
            Let it write as well: it is then the caller who commits.

        Raises
        ------
        ReadOnlySession
            When it changes something, and was not opened to write.
        DatabaseUnavailable
            When the database is away, overloaded or locked for too long.
        """
        with translated(reading=not write), self.new_session(write=write) as session:
            yield session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open one writing transaction: committed at the end, rolled back on an error.

        Raises
        ------
        DatabaseUnavailable
            When the database is away, overloaded or locked for too long.
        """
        with self.session(write=True) as session, session.begin():
            yield session

    def run(
        self,
        function: Callable[Concatenate[AsyncSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run one of the asynchronous functions, in a transaction of its own, to its end.

            image = db.run(add_image, "image.dcm")

        Works in a notebook too, where an event loop is running already.

        Parameters
        ----------
        function
            What takes an asynchronous session as its first argument.
        args, kwargs
            Its other arguments.

        Raises
        ------
        SchemaMissing
            When there is no database.
        DatabaseUnavailable
            When the database is away, overloaded or locked for too long.
        """
        _require_file(self._url)

        async def work(sessions: Sessions) -> T:
            return await retrying(sessions, lambda session: function(session, *args, **kwargs))

        return self._finished(work)

    def initialize(self, force: bool = False) -> Migration:
        """Create the database where there is none, as `Database.initialize` does."""

        async def work(sessions: Sessions) -> Migration:
            return await migrate.initialize(sessions.engine, force=force)

        return self._finished(work)

    def _finished(self, work: Callable[[Sessions], Awaitable[T]]) -> T:
        """Run something asynchronous to its end, in a thread: this one may have a loop."""
        _refuse_memory(self._url)

        async def run() -> T:
            async with Sessions(
                self._url,
                echo=self._echo,
                busy_timeout=self._busy_timeout,
                statement_timeout=self._statement_timeout,
            ) as sessions:
                return await work(sessions)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(run())).result()


def _refuse_memory(url: URL) -> None:
    if in_memory(url):
        raise InvalidDatabaseSource(
            "a SQLite database in memory is seen only by the connection that made it: "
            "name a file for synchronous code, for example sqlite:///var/node.db"
        )


def _require_file(url: URL) -> None:
    """Refuse a SQLite file that is not there: the driver would make an empty one."""
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise SchemaMissing(f"{url.database} does not exist; run `dicom-node db init`")


def _make_engine(url: URL, *, echo: bool, busy_timeout: float, statement_timeout: float) -> Engine:
    backend = url.get_backend_name()
    common: dict[str, Any] = {
        "echo": echo,
        "json_serializer": encode_json,
        "json_deserializer": decode_json,
        "hide_parameters": not echo,
    }
    if backend == "sqlite":
        engine = create_engine(
            synchronous_url(url),
            connect_args={"timeout": busy_timeout, "isolation_level": None},
            **common,
        )
        prepare_sqlite(engine)
        event.listen(engine, "do_connect", lambda *_: _require_file(url))
        open_as_file(engine, url)
        return engine
    settings = {"statement_timeout": str(int(statement_timeout * 1000))}
    engine = create_engine(synchronous_url(url, _OPTIONS, settings), pool_pre_ping=True, **common)
    event.listen(engine, "do_connect", _connect)
    return engine


def _connect(
    dialect: Dialect,
    _record: object,
    arguments: list[Any],
    options: dict[str, Any],
) -> Any:  # noqa: ANN401 - a DBAPI connection
    """Open a connection; libpq gives no SQLSTATE when it fails, so it is decided here."""
    try:
        return dialect.connect(*arguments, **options)
    except dialect.loaded_dbapi.OperationalError as error:
        raise _refused(" ".join(str(error).split())) from error


def _refused(reason: str) -> SchemaError:
    if re.search(r'FATAL: +database ".*" does not exist$', reason):
        return SchemaMissing(f"{reason}; run `dicom-node db init`")
    return DatabaseUnavailable(f"the database cannot be reached: {reason}")
