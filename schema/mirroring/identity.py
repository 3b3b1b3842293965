"""What a mirror knows about itself: whose mirror each of its tables is, and how far.

The table `mirror_marks` in the target says how far each table was written, by which source, and
how many rows that came to. `admission` decides from it whether to go on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    inspect,
    select,
)
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateColumn

from schema.engine.database import Database
from schema.mirroring.compare import Key, ordered_key
from schema.tables.columns import utcnow
from schema.tables.ledger import DatabaseIdentity
from schema.tables.rows import is_json

_metadata = MetaData()

mirror_marks = Table(
    "mirror_marks",
    _metadata,
    Column("table_name", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("last_key", Text, nullable=False),
    Column("marked_on", DateTime, nullable=False),
    Column("source_id", Text),
    Column("row_count", BigInteger),
    Column("key_sum", BigInteger),
)
"""How far each table of a mirror was written: the primary key as a JSON list.

`row_count` and `key_sum` are the number of rows, and the sum of their keys: a row that somebody
else writes or deletes changes them. Marks of before these columns have NULL there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which database a mirror is made from.

    Attributes
    ----------
    id
        The one that it was given with its tables; None when it has none.
    place
        Where it is, without who may use it.
    """

    id: str | None
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a table of a mirror was written, and by whom.

    Attributes
    ----------
    last_key
        The highest primary key, as it is after having been JSON.
    extent
        The number of rows, and the sum of their keys; None when nobody has counted.
    """

    origin: Origin
    last_key: list[Any]
    extent: tuple[int, int] | None


async def origin_of(database: Database, connection: AsyncConnection) -> Origin:
    """Return which database this is, by a connection that reads it."""
    place = (
        f"sqlite:///{database.path.resolve()}"
        if database.path is not None
        else database.url.set(username=None, password=None, query={}).render_as_string()
    )
    return Origin(id=await connection.scalar(select(DatabaseIdentity.id).limit(1)), place=place)


async def last_key(connection: AsyncConnection, table: Table) -> Key | None:
    """Return the highest primary key of a table; None when it is empty."""
    key = ordered_key(table, connection)
    query = select(*table.primary_key.columns).order_by(*(one.desc() for one in key)).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else tuple(row)


async def extent(connection: AsyncConnection, table: Table) -> tuple[int, int]:
    """Return how many rows a table has, and the sum of their keys."""
    (key,) = table.primary_key.columns
    query = select(func.count(), func.coalesce(func.sum(key), 0)).select_from(table)
    count, total = (await connection.execute(query)).one()
    return int(count), int(total)


async def prepare_marks(connection: AsyncConnection) -> None:
    """Create the table of marks where it is missing, or columns that it did not have once."""
    await connection.run_sync(_metadata.create_all)
    names = await connection.run_sync(_columns_of_marks)
    for column in mirror_marks.columns:
        if column.name not in names:
            ddl = CreateColumn(column).compile(dialect=connection.dialect)
            await connection.exec_driver_sql(f"ALTER TABLE {mirror_marks.name} ADD COLUMN {ddl}")


async def read_marks(connection: AsyncConnection) -> dict[str, Mark]:
    """Return the mark of each table that has one."""
    names = await connection.run_sync(_columns_of_marks)
    if not names:
        return {}
    known = [column for column in mirror_marks.columns if column.name in names]
    rows = (await connection.execute(select(*known))).mappings()
    return {row["table_name"]: _mark(row) for row in rows}


async def _mark_of(connection: AsyncConnection, table: Table) -> Mark | None:
    """Return the mark of a table, where `prepare_marks` has been."""
    query = select(mirror_marks).where(mirror_marks.c.table_name == table.name)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _mark(row)


def _mark(row: Any) -> Mark:  # noqa: ANN401 - a mapping of a row
    counted = row.get("row_count"), row.get("key_sum")
    return Mark(
        origin=Origin(id=row.get("source_id"), place=row["source"]),
        last_key=orjson.loads(row["last_key"]),
        extent=None if None in counted else counted,
    )


def _columns_of_marks(connection: Connection) -> set[str]:
    found = inspect(connection)
    if not found.has_table(mirror_marks.name):
        return set()
    return {column["name"] for column in found.get_columns(mirror_marks.name)}


async def set_mark(
    connection: AsyncConnection,
    table: Table,
    origin: Origin,
    key: Key | None,
    *,
    added: Sequence[Key] = (),
    lower: bool = False,
) -> None:
    """Note that a table was written from `origin` up to a key.

    Parameters
    ----------
    key
        None removes the mark: the table is empty.
    added
        The keys of the rows that were not there before.
    lower
        Whether the mark may also move back.
    """
    known = await _mark_of(connection, table)
    wanted = comparable(key) if key is not None else None
    if known is not None and wanted is not None and not lower:
        wanted = max(wanted, known.last_key)
    before = (0, 0) if known is None else known.extent
    mark = None
    if wanted is not None:
        mark = Mark(origin=origin, last_key=wanted, extent=_grown(before, added, 1))
    await _replace(connection, table, known, mark)


async def note_removed(connection: AsyncConnection, table: Table, keys: Iterable[Key]) -> None:
    """Note that rows were deleted."""
    known = await _mark_of(connection, table)
    if known is not None:
        counted = _grown(known.extent, list(keys), -1)
        mark = Mark(origin=known.origin, last_key=known.last_key, extent=counted)
        await _replace(connection, table, known, mark)


async def note_extent(connection: AsyncConnection, table: Table, origin: Origin, key: Key) -> None:
    """Note how many rows a table has that was found to be a mirror's."""
    known = await _mark_of(connection, table)
    mark = Mark(
        origin=origin,
        last_key=comparable(key) if known is None else known.last_key,
        extent=await extent(connection, table),
    )
    await _replace(connection, table, known, mark)


def _grown(
    counted: tuple[int, int] | None, keys: Sequence[Key], sign: int
) -> tuple[int, int] | None:
    if counted is None:
        return None
    return counted[0] + sign * len(keys), counted[1] + sign * sum(key for (key,) in keys)


async def _replace(
    connection: AsyncConnection, table: Table, known: Mark | None, mark: Mark | None
) -> None:
    if mark == known:
        return
    await connection.execute(mirror_marks.delete().where(mirror_marks.c.table_name == table.name))
    if mark is not None:
        counted = mark.extent or (None, None)
        values = {
            "table_name": table.name,
            "source": mark.origin.place,
            "source_id": mark.origin.id,
            "last_key": orjson.dumps(mark.last_key).decode(),
            "marked_on": utcnow(),
            "row_count": counted[0],
            "key_sum": counted[1],
        }
        await connection.execute(mirror_marks.insert(), values)


def unique_sets(table: Table) -> list[list[str]]:
    """Return the names of the columns of each unique constraint and unique index."""
    constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    indexes = [one for one in table.indexes if one.unique]
    named = [*(one.columns for one in constraints), *(one.columns for one in indexes)]
    return [[column.name for column in columns] for columns in named]


def natural_key(table: Table) -> set[str]:
    """Return the columns that say which thing a row is about.

    These are the unique ones; in a table without any, all but JSON, because then nothing less
    tells two rows apart.
    """
    unique = {name for names in unique_sets(table) for name in names}
    return unique or {column.name for column in table.columns if not is_json(column)}


def comparable(key: Key) -> list[Any]:
    """Return a key as it is after having been JSON."""
    values: list[Any] = orjson.loads(orjson.dumps(list(key), default=str))
    return values
