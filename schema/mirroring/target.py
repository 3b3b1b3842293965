"""Writing to a mirror: rows by their primary key, and what has to be put right around them."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Table, Text, and_, bindparam, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.engine.faults import unavailable
from schema.errors import MirrorFailed
from schema.mirroring.canonical import Row
from schema.mirroring.compare import Key, key_of
from schema.mirroring.identity import unique_sets
from schema.tables.columns import IndexedText


async def upsert(connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows with their ids, or make the rows that have these ids like them.

    Raises
    ------
    IntegrityError
        When a unique value is another row's, or a parent is missing. Nothing was written.
    MirrorFailed
        When the database cannot hold a value.
    """
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    key = [column.name for column in table.primary_key.columns]
    values = {column.name: insert.excluded[column.name] for column in table.columns}
    rest = {name: value for name, value in values.items() if name not in key}
    statement = (
        insert.on_conflict_do_update(index_elements=key, set_=rest)
        if rest
        else insert.on_conflict_do_nothing(index_elements=key)
    )
    try:
        async with connection.begin_nested():
            await connection.execute(
                statement, [dict(zip(values, row, strict=True)) for row in rows]
            )
    except IntegrityError:
        raise
    except DBAPIError as error:
        if unavailable(error) is not None:
            raise
        raise refused(table, rows, error) from error


def refused(table: Table, rows: Sequence[Row], error: DBAPIError) -> MirrorFailed:
    """Return what to raise when the target does not take rows; values are not repeated."""
    find = key_of(table)
    reason = error.orig.__cause__ or error.orig if error.orig is not None else error
    return MirrorFailed(
        f"the target does not take the rows {_written(find(rows[0]))} to"
        f" {_written(find(rows[-1]))} of {table.name}: {type(reason).__name__}"
    )


def _written(key: Key) -> str:
    return "/".join(map(str, key))


async def park(connection: AsyncConnection, table: Table, rows: Iterable[Row]) -> None:
    """Take unique values away from the rows of the target that no longer have a right to them.

    A source may give a value to another row: the one that had it was deleted, or changed.
    Until that one's turn comes, it has a value that nobody else has.
    """
    find = key_of(table)
    places = {column.name: at for at, column in enumerate(table.columns)}
    keys = list(table.primary_key.columns)
    for names in unique_sets(table):
        column = next(
            (table.c[one] for one in names if isinstance(table.c[one].type, Text | IndexedText)),
            None,
        )
        if column is None:
            continue
        for row in rows:
            same_key = and_(*(one == value for one, value in zip(keys, find(row), strict=True)))
            holder = and_(*(table.c[one] == row[places[one]] for one in names), ~same_key)
            await connection.execute(
                update(table).where(holder).values({column: f"mirror:{uuid4().hex}"})
            )


async def remove(connection: AsyncConnection, table: Table, keys: Sequence[Key]) -> None:
    """Delete rows by their primary keys."""
    columns = list(table.primary_key.columns)
    matches = (column == bindparam(f"key_{at}") for at, column in enumerate(columns))
    parameters = [{f"key_{at}": value for at, value in enumerate(key)} for key in keys]
    await connection.execute(delete(table).where(*matches), parameters)


async def advance_sequence(connection: AsyncConnection, table: Table) -> None:
    """Let PostgreSQL number the next row behind the highest one: ids came with the rows."""
    column = table.autoincrement_column
    if connection.dialect.name != "postgresql" or column is None:
        return
    name = connection.dialect.identifier_preparer.format_table(table)
    sequence = await connection.scalar(select(func.pg_get_serial_sequence(name, column.name)))
    highest: Any = await connection.scalar(select(func.max(column)))
    if sequence is None or highest is None:
        return
    await connection.execute(
        text(
            "SELECT setval(CAST(:sequence AS regclass), greatest(CAST(:highest AS bigint),"
            " coalesce(pg_sequence_last_value(CAST(:sequence AS regclass)), 0)))"
        ),
        {"sequence": sequence, "highest": highest},
    )
