"""The two shapes of statement that the inserts are made of, on both databases.

Both take any number of values in one statement whose text stays the same, so that the server
and SQLAlchemy's cache see it again: a list travels as one parameter, rows go in pages whose
size is SQLAlchemy's affair.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import orjson
from sqlalchemy import ARRAY, ColumnElement, Table, Text, any_, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

TextColumn = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]


def table_of(model: type[Any]) -> Table:
    """Return the table of a mapped class."""
    return cast(Table, model.__table__)


def is_postgresql(session: AsyncSession) -> bool:
    """Tell which of the two databases a session speaks to."""
    return session.get_bind().dialect.name == "postgresql"


def among(
    session: AsyncSession, column: TextColumn, values: Collection[str]
) -> ColumnElement[bool]:
    """Return the condition that a text column has one of these values, however many.

    Parameters
    ----------
    values
        Bound as one array (PostgreSQL) or as one JSON list (SQLite).
    """
    if is_postgresql(session):
        return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))
    listed = func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
    return column.in_(select(listed.c.value))


async def insert_new(
    session: AsyncSession,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    returning: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Insert the rows whose key is not there yet; return those, without the others.

    On PostgreSQL a row that another transaction is inserting is waited for. When that one
    commits, ours is left out, and a SELECT that comes after sees the other's.

    Parameters
    ----------
    rows
        In an order that is the same in every transaction, so that two of them never wait
        for each other crosswise.
    key
        The columns of the unique constraint.
    returning
        The columns to return.
    """
    if not rows:
        return []
    insert = postgresql.insert if is_postgresql(session) else sqlite.insert
    statement = (
        insert(table)
        .on_conflict_do_nothing(index_elements=list(key))
        .returning(*(table.c[name] for name in returning))
    )
    connection = await session.connection()
    return [tuple(row) for row in await connection.execute(statement, list(rows))]
