"""Reading whole tables as they are: in one snapshot, row by row, JSON as its text.

For what copies data rather than asking about it: dumps and mirrors. And an image's record as a row
of `images`: a column is in it when both the table and the record have it; the others are what only
a database gives, the keys, and the comparison with the other images of a series.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from operator import attrgetter
from typing import Any

from sqlalchemy import JSON, ColumnElement, Table, Text, cast, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from schema.record import ImageRecord
from schema.tables.columns import EncodedJSON
from schema.tables.models import Image
from schema.tables.statements import is_postgresql, table_of

_FIELDS = frozenset(field.name for field in fields(ImageRecord))

COLUMNS = tuple(column.name for column in table_of(Image).columns if column.name in _FIELDS)
"""The columns, in the order of the table."""

_values = attrgetter(*COLUMNS)


def is_json(column: ColumnElement[Any]) -> bool:
    """Tell whether a column holds JSON documents."""
    return isinstance(column.type, EncodedJSON | JSON)


def plain_columns(table: Table) -> list[ColumnElement[Any]]:
    """Return a table's columns for a SELECT that gives JSON as the text which is stored.

    No document is decoded on its way, so that numbers keep all their digits.
    """
    return [
        cast(column, Text).label(column.name) if is_json(column) else column
        for column in table.columns
    ]


@asynccontextmanager
async def snapshot(session: AsyncSession) -> AsyncIterator[AsyncConnection]:
    """Read everything as it is at one moment, for as long as the block runs.

    PostgreSQL: a transaction of REPEATABLE READ that reads only, without a statement timeout,
    because a view over a million rows takes its time. SQLite: one transaction; in WAL mode
    it waits for no writer, and no writer waits for it.

    Parameters
    ----------
    session
        When its transaction has begun already, that is what is read in, and it goes on
        afterwards; where it has run a statement, its isolation stays what it was.
    """
    transaction = session.sync_session.get_transaction()
    began = transaction is not None
    options: dict[str, Any] = {}
    if is_postgresql(session):
        # Only a transaction without a connection can still be given another isolation.
        if not began or getattr(transaction, "_connections", None) == {}:
            options["isolation_level"] = "REPEATABLE READ"
        if not began:
            options["postgresql_readonly"] = True
    connection = await session.connection(execution_options=options or None)
    if "postgresql_readonly" in options:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    try:
        yield connection
    finally:
        if not began:
            await session.rollback()


def row_of(record: ImageRecord) -> dict[str, Any]:
    """Return the values of a record's columns, in the order of `COLUMNS`."""
    row = dict(zip(COLUMNS, _values(record), strict=True))
    row["institution"] = record.institution or None
    return row
