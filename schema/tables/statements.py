"""The two shapes of statement that the inserts are made of, on both databases.

Both take any number of values in one statement. On PostgreSQL its text is the same for one
value and for a thousand, so that the server has it prepared already: a list travels as one
parameter, rows travel as one list per column. On SQLite, rows go in pages.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any
from typing import cast as typed

import orjson
from sqlalchemy import (
    ARRAY,
    BindParameter,
    Column,
    ColumnDefault,
    ColumnElement,
    DateTime,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from schema.tables.columns import EncodedJSON, IndexedText, encode_json, utcnow

KeyColumn = (
    InstrumentedAttribute[str]
    | InstrumentedAttribute[str | None]
    | InstrumentedAttribute[int]
    | InstrumentedAttribute[int | None]
    | Column[Any]
)


VARIED = (250, 50)
"""Rows of one statement where their number is another one each time: SQLite's driver keeps 128
statements prepared, and one that inserts 500 rows takes a megabyte. Larger ones are no faster."""


_VALUES = 32_766
"""Values that SQLite takes for one statement."""


def table_of(model: type[Any]) -> Table:
    """Return the table of a mapped class."""
    return typed(Table, model.__table__)


def is_postgresql(session: AsyncSession) -> bool:
    """Tell which of the two databases a session speaks to."""
    return session.get_bind().dialect.name == "postgresql"


async def shared_now(session: AsyncSession) -> datetime:
    """Return the time now, naive UTC, by the clock that all processes at this database share.

    What one process writes, and another one compares with its own time, is of this clock: that of
    PostgreSQL's server, at this moment and not when the transaction began. All processes at an
    SQLite database are on one machine, whose clock it is.
    """
    if not is_postgresql(session):
        return utcnow()
    now = func.timezone("UTC", func.clock_timestamp(), type_=DateTime())
    return (await session.execute(select(now))).scalar_one()


def among(
    session: AsyncSession, column: KeyColumn, values: Collection[str] | Collection[int]
) -> ColumnElement[bool]:
    """Return the condition that a column has one of these values, however many.

    Parameters
    ----------
    values
        Bound as one array (PostgreSQL) or as one JSON list (SQLite).
    """
    if is_postgresql(session):
        return column == any_(bindparam(None, list(values), type_=ARRAY(column.type)))
    kind = column.type  # looked up once: a mapped attribute takes its time
    if isinstance(kind, IndexedText):
        values = [kind.fold(str(value)) for value in values]
    listed = func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
    return column.in_(select(listed.c.value))


async def insert_new(
    session: AsyncSession,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    returning: Sequence[str],
    pages: Sequence[int] = (1000,),
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
    pages
        Rows of one statement on SQLite, from the most on; what is left is the last one.
    """
    if not rows:
        return []
    connection = await session.connection()
    columns = [table.c[name] for name in returning]
    if is_postgresql(session):
        statement = (
            postgresql.insert(table)
            .from_select(list(rows[0]), _unnested(table, rows))
            .on_conflict_do_nothing(index_elements=list(key))
            .returning(*columns)
        )
        return [tuple(row) for row in await connection.execute(statement)]
    inserted: list[tuple[Any, ...]] = []
    most = _VALUES // len(table.columns)
    for part in _parts(rows, [min(page, most) for page in pages]):
        names, values = _bound(session, table, part)
        text = _insertion(table, names, tuple(key), tuple(returning), len(values) // len(names))
        inserted += [tuple(row) for row in await connection.exec_driver_sql(text, values)]
    return inserted


def _parts(
    rows: Sequence[Mapping[str, Any]], pages: Sequence[int]
) -> Iterator[Sequence[Mapping[str, Any]]]:
    start = 0
    for page in pages:
        while len(rows) - start >= page:
            yield rows[start : start + page]
            start += page
    if start < len(rows):
        yield rows[start:]


def _bound(
    session: AsyncSession, table: Table, rows: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the columns to insert, and the rows' values as SQLite's driver takes them, in a row.

    Column by column: the way through SQLAlchemy's own parameters takes twice as long, which is
    where a find spends most of its time.
    """
    dialect = session.get_bind().dialect
    columns: dict[str, list[Any]] = {}
    for column in table.columns:
        if column.name in rows[0]:
            values = [row[column.name] for row in rows]
        elif column.default is not None:
            values = [_default(column)] * len(rows)
        else:
            continue
        store = column.type.dialect_impl(dialect).bind_processor(dialect)
        columns[column.name] = values if store is None else _each(column, store, values)
    return tuple(columns), tuple(chain.from_iterable(zip(*columns.values(), strict=True)))


def _default(column: Column[Any]) -> Any:  # noqa: ANN401 - any column's value
    default = typed(ColumnDefault, column.default)
    return default.arg(None) if callable(default.arg) else default.arg


@lru_cache(maxsize=256)
def _insertion(
    table: Table,
    names: tuple[str, ...],
    key: tuple[str, ...],
    returning: tuple[str, ...],
    rows: int,
) -> str:
    """Return SQLite's statement that inserts so many rows, where their keys are not there yet."""
    row = f"({', '.join('?' * len(names))})"
    return (
        f"INSERT INTO {table.name} ({', '.join(names)})"  # noqa: S608
        f" VALUES {', '.join([row] * rows)}"
        f" ON CONFLICT ({', '.join(key)}) DO NOTHING RETURNING {', '.join(returning)}"
    )


def _unnested(table: Table, rows: Sequence[Mapping[str, Any]]) -> Select[Any]:
    """Return a SELECT of these rows, in their order, from one array for each column."""
    names = list(rows[0])
    arrays = [_array(table.c[name], [row[name] for row in rows]) for name in names]
    given = func.unnest(*arrays).table_valued(*names).render_derived(name="given")
    return select(
        *(
            cast(given.c[name], JSONB) if _is_json(table.c[name]) else given.c[name]
            for name in names
        )
    )


def _array(column: Column[Any], values: list[Any]) -> BindParameter[Any]:
    """Bind a column's values as one array; JSON travels as text."""
    if _is_json(column):
        return bindparam(None, _each(column, _encoded, values), type_=ARRAY(Text))
    return bindparam(None, values, type_=ARRAY(column.type))


def _encoded(value: Any) -> str | None:  # noqa: ANN401 - any document
    return value if value is None or isinstance(value, str) else encode_json(value)


def _each(column: Column[Any], store: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    """Return values as the database stores them; raises as SQLAlchemy does where one is wrong."""
    try:
        return [*map(store, values)]
    except (OverflowError, TypeError, ValueError) as error:
        raise StatementError(f"{column.name} does not take it", None, None, error) from error


def _is_json(column: Column[Any]) -> bool:
    return isinstance(column.type, EncodedJSON)
