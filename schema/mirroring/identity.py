"""What a mirror knows about itself, so that nothing is ever mirrored over other data.

The table `mirror_marks` in the target says how far each table was written by which source.
What lies behind a mark, somebody else has written. A target without marks, such as a restored
backup, is accepted if all its rows are the source's.
"""

from typing import Any

import orjson
from sqlalchemy import Column, DateTime, MetaData, Table, Text, UniqueConstraint, inspect, select
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.engine.database import Database
from schema.errors import MirrorRefused
from schema.mirroring.compare import Key, ordered_key, pages
from schema.tables.columns import utcnow
from schema.tables.rows import is_json, plain_columns

_metadata = MetaData()

mirror_marks = Table(
    "mirror_marks",
    _metadata,
    Column("table_name", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("last_key", Text, nullable=False),
    Column("marked_on", DateTime, nullable=False),
)
"""How far each table of a mirror was written: the primary key as a JSON list."""


def place_of(database: Database) -> str:
    """Return where a database is, without who may use it: what a mark calls its source."""
    if database.path is not None:
        return f"sqlite:///{database.path.resolve()}"
    return database.url.set(username=None, password=None, query={}).render_as_string()


async def last_key(connection: AsyncConnection, table: Table) -> Key | None:
    """Return the highest primary key of a table; None when it is empty."""
    key = ordered_key(table, connection)
    query = select(*table.primary_key.columns).order_by(*(one.desc() for one in key)).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else tuple(row)


async def create_marks(connection: AsyncConnection) -> None:
    """Create the table of marks where it is missing."""
    await connection.run_sync(_metadata.create_all)


async def read_marks(connection: AsyncConnection) -> dict[str, tuple[str, list[Any]]]:
    """Return the source and the last key of each table that has a mark."""
    if not await connection.run_sync(_has_marks):
        return {}
    marks = await connection.execute(select(mirror_marks))
    return {mark.table_name: (mark.source, orjson.loads(mark.last_key)) for mark in marks}


def _has_marks(connection: Connection) -> bool:
    return inspect(connection).has_table(mirror_marks.name)


async def set_mark(
    connection: AsyncConnection, table: Table, source: str, key: Key | None, *, lower: bool = False
) -> None:
    """Note that a table was written by `source` up to a key.

    Parameters
    ----------
    key
        None removes the mark: the table is empty.
    lower
        Whether the mark may also move back.
    """
    mine = mirror_marks.c.table_name == table.name
    known = (await connection.execute(select(mirror_marks).where(mine))).one_or_none()
    wanted = _comparable(key) if key is not None else None
    if known is not None:
        before = orjson.loads(known.last_key)
        kept = wanted == before or (wanted is not None and wanted < before and not lower)
        if kept and known.source == source:
            return
        await connection.execute(mirror_marks.delete().where(mine))
    if wanted is not None:
        values = {
            "table_name": table.name,
            "source": source,
            "last_key": orjson.dumps(wanted).decode(),
            "marked_on": utcnow(),
        }
        await connection.execute(mirror_marks.insert(), values)


async def admit(
    source: AsyncConnection, target: AsyncConnection, table: Table, name: str, where: str
) -> None:
    """Make sure that all rows of the target's table are the source's, or were once.

    Parameters
    ----------
    name
        What marks call the source.
    where
        How to call the target in a message.

    Raises
    ------
    MirrorRefused
        When somebody else wrote the table.
    """
    highest = await last_key(target, table)
    mark = (await read_marks(target)).get(table.name)
    await target.rollback()
    if highest is None or (mark and mark[0] == name and _comparable(highest) <= mark[1]):
        return
    key = [column.name for column in table.primary_key.columns]
    columns = [
        column for column in plain_columns(table) if column.name in {*key, *natural_key(table)}
    ]
    async for page in pages(source, target, table, columns=columns):
        for found, row in page.target.items():
            if page.source.get(found) != row:
                what = ", ".join(f"{one} {value}" for one, value in zip(key, found, strict=True))
                raise MirrorRefused(
                    f"{where} is no mirror of {name}: its table {table.name} has a row ({what})"
                    " that is not from there. Nothing was changed there. Mirror into an empty"
                    " database, or one that only this command writes to"
                )


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


def _comparable(key: Key) -> list[Any]:
    """Return a key as it is after having been JSON."""
    values: list[Any] = orjson.loads(orjson.dumps(list(key), default=str))
    return values
