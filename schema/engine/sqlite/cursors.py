"""SQLite's cursors: a statement is one call of its connection's thread, and not four.

The driver has a thread for each connection, and hands it each call of a cursor: to make it, to
execute, to fetch and to close. What a statement brings is fetched in any case before anyone sees
it, so all four are one call here. Rows that are streamed come through the driver's own cursors.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
    SQLiteDialect_aiosqlite,
)


def driver() -> AsyncAdapt_aiosqlite_dbapi:
    """Return the driver for an engine, as its `module`."""
    module = SQLiteDialect_aiosqlite.import_dbapi()
    return _Driver(module.aiosqlite, module.sqlite)


class _AtOnce:
    """A cursor that is made, executed, fetched and closed in one call."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the driver's
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def execute(self, operation: str, parameters: Sequence[Any] = ()) -> None:
        """Execute a statement, and fetch all that it brings."""
        await self._call("execute", operation, parameters)

    async def executemany(self, operation: str, parameters: Sequence[Any]) -> None:
        """Execute a statement with each of some values."""
        await self._call("executemany", operation, parameters)

    async def fetchall(self) -> list[Any]:
        """Return what it has brought."""
        return self._rows

    def close(self) -> None:
        """Do nothing: it is closed."""

    async def _call(self, *arguments: Any) -> None:  # noqa: ANN401 - of `_run`
        # private, as what SQLAlchemy itself goes by: the driver offers no statement in one call
        await self._connection._execute(self._run, *arguments)  # noqa: SLF001

    def _run(self, method: str, operation: str, parameters: Sequence[Any]) -> None:
        """Do all of it, in the thread of the connection."""
        cursor = self._connection._conn.cursor()  # noqa: SLF001
        try:
            getattr(cursor, method)(operation, parameters)
            self.description = cursor.description
            self._rows = cursor.fetchall() if cursor.description else []
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    __slots__ = ()

    _awaitable_cursor_close = False

    def _make_new_cursor(self, connection: Any) -> Any:  # noqa: ANN401 - the driver's
        return _AtOnce(connection)

    def _aenter_cursor(self, cursor: Any) -> Any:  # noqa: ANN401 - of `_make_new_cursor`
        return cursor


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()

    _cursor_cls = _Cursor


class _Driver(AsyncAdapt_aiosqlite_dbapi):
    def connect(
        self,
        *arguments: Any,  # noqa: ANN401 - the driver's
        **options: Any,  # noqa: ANN401 - the driver's
    ) -> AsyncAdapt_aiosqlite_connection:
        """Open a connection with these cursors."""
        opened = super().connect(*arguments, **options)
        return _Connection(self, opened._connection)  # noqa: SLF001 - as above
