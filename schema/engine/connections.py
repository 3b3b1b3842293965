"""The engine: how connections to each database are made so that the promises hold.

SQLite: `synchronous=FULL`, because a committed image must survive a power cut; foreign keys
on; a busy timeout for the one writer's lock; and transactions begun by us, not by the driver,
so that a writer can take the lock at its first statement (BEGIN IMMEDIATE). A transaction
that reads first and upgrades later cannot wait, it fails; so one that reads may only read
(query_only). Connections are pooled, because each one is a thread and a page cache.

PostgreSQL: a small pool whose connections are tested before use, so that a restarted server
is noticed; a statement timeout, so that a blocked statement is an error that says so. Each
statement is planned for its values and for the tables as they are now: a plan that is kept from
when they were empty reads all of them each time. A transaction that reads is BEGIN READ ONLY,
which costs nothing. Options in the URL are read as libpq reads them (`sslmode`, `sslrootcert`,
`options`, …).
"""

import functools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine, ExceptionContext
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from schema.engine.faults import NO_DATABASE, unavailable
from schema.engine.source import shown
from schema.engine.sqlite.cursors import driver
from schema.engine.sqlite.file import FrozenFile, check_file
from schema.errors import DatabaseUnavailable, SchemaError
from schema.tables.columns import decode_json, encode_json

_WAL_PAGES = 16_000
"""Pages of SQLite's write-ahead log, 64 MB, after which they go into the database file.

The UIDs of new images fall anywhere in their index. The more of them one checkpoint takes, the
fewer of its pages are written twice. Each commit is synced in the log, whatever its length.
"""

_STEP = 1.0
"""Seconds in which SQLite waits for its write lock without a chance to interrupt it."""

WRITE_OPTION = "schema_write"

_FROZEN = "frozen"
"""Under which a connection keeps that it reads a file that nobody changes."""

WRITING: Mapping[str, Any] = {WRITE_OPTION: True}
"""Execution options of transactions that write (SQLite: BEGIN IMMEDIATE)."""

READING: Mapping[str, Any] = {WRITE_OPTION: False, "postgresql_readonly": True}
"""Execution options of transactions that only read: the database itself refuses a change."""

_FOR_SQLALCHEMY = frozenset({"host", "port", "prepared_statement_cache_size"})


def make_engine(
    url: URL,
    *,
    echo: bool = False,
    busy_timeout: float = 30.0,
    statement_timeout: float = 60.0,
    connect_timeout: float = 10.0,
    pool_size: int = 5,
    max_overflow: int = 10,
) -> AsyncEngine:
    """Make the engine for a database; no connection is opened yet.

    Parameters
    ----------
    url
        With an asynchronous driver, as `schema.engine.source.asynchronous_url` returns it.
    echo
        Log each statement.
    busy_timeout
        SQLite: seconds to wait for another writer.
    statement_timeout
        PostgreSQL: seconds after which the server gives a statement up.
    connect_timeout
        PostgreSQL: seconds for a new connection.
    pool_size, max_overflow
        Connections kept, and how many more when all are in use.
    """
    common: dict[str, Any] = {
        "echo": echo,
        "json_serializer": encode_json,
        "json_deserializer": decode_json,
        # Values are patient data: they stay out of error messages and logs.
        "hide_parameters": not echo,
    }
    if url.get_backend_name() == "sqlite":
        engine = _sqlite(url, busy_timeout, pool_size, max_overflow, common)
        open_as_file(engine.sync_engine, url)
    else:
        url, arguments = _asyncpg_arguments(url)
        arguments["timeout"] = connect_timeout
        arguments["server_settings"] = {
            "application_name": "dicom-node",
            "statement_timeout": str(int(statement_timeout * 1000)),
            "plan_cache_mode": "force_custom_plan",
        }
        engine = create_async_engine(
            url,
            connect_args=arguments,
            pool_pre_ping=True,
            pool_size=pool_size,
            max_overflow=max_overflow,
            **common,
        )
        _name_server(engine.sync_engine, url)
    return engine


def open_as_file(engine: Engine, url: URL) -> None:
    """Open the file of a SQLite database as it can be, and see that what was read was true."""
    path = url.database or ""
    if in_memory(url) or path.startswith("file:"):
        return

    def verify(_: object, record: ConnectionPoolEntry) -> None:
        frozen: FrozenFile | None = record.info.get(_FROZEN)
        if frozen is not None:
            record.invalidate()  # whoever is next looks anew whether it may be written
            frozen.verify()

    def connect(
        dialect: Dialect, record: ConnectionPoolEntry, arguments: list[Any], options: dict[str, Any]
    ) -> Any:  # noqa: ANN401 - a DBAPI connection
        check_file(Path(path))
        frozen = record.info[_FROZEN] = FrozenFile.at(Path(path))
        if frozen is None:
            return dialect.connect(*arguments, **options)
        return dialect.connect(frozen.uri, **{**options, "uri": True})

    def name_file(context: ExceptionContext) -> DatabaseUnavailable | None:
        reason = str(context.original_exception)
        if NO_DATABASE not in reason:
            return None
        return DatabaseUnavailable(f"{path} cannot be read: {reason}")

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkin", verify)
    event.listen(engine, "handle_error", name_file)


def in_memory(url: URL) -> bool:
    """Tell whether this is a SQLite database without a file."""
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}


def _sqlite(
    url: URL, busy_timeout: float, pool_size: int, max_overflow: int, common: dict[str, Any]
) -> AsyncEngine:
    """Make an engine for SQLite."""
    sizes = {} if in_memory(url) else {"pool_size": pool_size, "max_overflow": max_overflow}
    engine = create_async_engine(
        url,
        # None: the driver begins no transactions of its own.
        connect_args={"timeout": busy_timeout, "isolation_level": None},
        module=driver(),
        **sizes,
        **common,
    )
    event.listen(engine.sync_engine, "connect", _sqlite_pragmas)
    event.listen(
        engine.sync_engine, "begin", functools.partial(_sqlite_begin_in_steps, busy_timeout)
    )
    return engine


def prepare_sqlite(engine: Engine) -> None:
    """Let each connection of an engine keep the promises, and transactions begin as ours do."""
    event.listen(engine, "connect", _sqlite_pragmas)
    event.listen(engine, "begin", _sqlite_begin)


def _sqlite_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    """Set what SQLite keeps per connection."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    """Begin a transaction; a writing one takes the write lock at once, a reading one never."""
    write = _writes(connection)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _writes(connection: Connection) -> bool:
    """Tell whether a transaction that begins is to write; let one that only reads do no more.

    SQLite keeps that per connection, and a connection serves both kinds in turn.
    """
    write = connection.get_execution_options().get(WRITE_OPTION)
    reads_only = write is False
    if connection.info.get("query_only", False) != reads_only:
        connection.exec_driver_sql(f"PRAGMA query_only={int(reads_only)}")
        connection.info["query_only"] = reads_only
    return bool(write)


def _sqlite_begin_in_steps(busy_timeout: float, connection: Connection) -> None:
    """Begin a transaction; wait for the write lock in steps.

    While SQLite waits for a lock it cannot be interrupted, nor its connection be closed: who
    cancels a task that waits, as a node does that stops, waits for one step and not for all.
    """
    write = _writes(connection)
    _set_busy_timeout(connection, min(_STEP, busy_timeout) if write else busy_timeout, busy_timeout)
    deadline = time.monotonic() + busy_timeout - _STEP
    while write and time.monotonic() < deadline:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            if "locked" not in str(error.orig):
                raise
        else:
            return
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _set_busy_timeout(connection: Connection, seconds: float, at_first: float) -> None:
    if connection.info.get("busy_timeout", at_first) != seconds:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={int(seconds * 1000)}")
        connection.info["busy_timeout"] = seconds


def _asyncpg_arguments(url: URL) -> tuple[URL, dict[str, Any]]:
    """Hand the URL's options to asyncpg as a DSN, which knows libpq's names for them."""
    options = {key: value for key, value in url.query.items() if key not in _FOR_SQLALCHEMY}
    if "ssl" in options:
        options["sslmode"] = options.pop("ssl")
    if not options:
        return url, {}
    dsn = "postgresql:///?" + urlencode(options, doseq=True)
    return url.difference_update_query(tuple(url.query.keys() - _FOR_SQLALCHEMY)), {"dsn": dsn}


def _name_server(engine: Engine, url: URL) -> None:
    """Say where the server should be that cannot be reached."""
    secret = [key for key in url.query if "pass" in key.lower()]
    place = shown(url.difference_update_query(secret))

    def connect(
        dialect: Dialect, record: ConnectionPoolEntry, arguments: list[Any], options: dict[str, Any]
    ) -> Any:  # noqa: ANN401 - a DBAPI connection
        try:
            return _connect(dialect, record, arguments, options)
        except DatabaseUnavailable as error:
            cause = error.__cause__
            if not isinstance(cause, OSError):
                raise
            raise DatabaseUnavailable(
                f"the database cannot be reached: {place}: {_reason(cause)}; its server may be "
                "down, or `storage.resources` wrong"
            ) from cause

    event.listen(engine, "do_connect", connect)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return error.strerror or str(error) or type(error).__name__


def _connect(
    dialect: Dialect,
    _record: object,
    arguments: list[Any],
    options: dict[str, Any],
) -> Any:  # noqa: ANN401 - a DBAPI connection
    """Open a connection, with the errors of sockets and of the server's refusal as ours.

    asyncpg raises these bare, so SQLAlchemy would let them pass as they are.
    """
    try:
        return dialect.connect(*arguments, **options)
    except dialect.loaded_dbapi.Error:
        raise  # SQLAlchemy wraps these itself.
    except SchemaError:
        raise
    except Exception as error:
        meaning = unavailable(error)
        if meaning is None:
            raise
        raise meaning from error
