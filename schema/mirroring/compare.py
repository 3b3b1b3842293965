"""Comparing a table of two databases, page by page, in the order of its primary key.

A page is the same range of keys on both sides, with at most so many rows of each, so that
memory stays constant however the two differ.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.mirroring.canonical import Canonical, Row
from schema.tables.rows import plain_columns

Key = tuple[Any, ...]

PAGE = 500
"""Rows of one side that are in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The rows of both sides in one range of keys.

    Attributes
    ----------
    last
        The highest key of the range; None when this is the last page.
    """

    source: dict[Key, Row]
    target: dict[Key, Row]
    last: Key | None


@dataclass(slots=True, kw_only=True)
class Comparison:
    """How the rows of a table compare, as far as they were seen.

    Attributes
    ----------
    missing, different
        Rows of the source that the target lacks, or has otherwise.
    excess
        Rows of the target that the source lacks.
    """

    source_rows: int = 0
    target_rows: int = 0
    missing: int = 0
    different: int = 0
    excess: int = 0
    _source: Any = field(default_factory=hashlib.sha256)
    _target: Any = field(default_factory=hashlib.sha256)

    @property
    def equal(self) -> bool:
        """Whether both sides have the same rows."""
        return not (self.missing or self.different or self.excess)

    @property
    def source_digest(self) -> str:
        """SHA-256 of the source's rows, in hexadecimal."""
        return str(self._source.hexdigest())

    @property
    def target_digest(self) -> str:
        """SHA-256 of the target's rows, in hexadecimal."""
        return str(self._target.hexdigest())

    def add(self, page: Page, canonical: Canonical) -> list[Row]:
        """Compare a page; return the source's rows that the target lacks or has otherwise."""
        encoded = {key: canonical.encode(row) for key, row in page.source.items()}
        for one in encoded.values():
            self._source.update(one)
        wrong = set(encoded)
        for key, row in page.target.items():
            ours = encoded.get(key)
            theirs = ours if page.source.get(key) == row else canonical.encode(row)
            self._target.update(theirs or b"")
            if ours is None:
                self.excess += 1
            elif ours == theirs:
                wrong.discard(key)
            else:
                self.different += 1
        self.source_rows += len(page.source)
        self.target_rows += len(page.target)
        self.missing += len(page.source.keys() - page.target.keys())
        return [row for key, row in page.source.items() if key in wrong]


async def pages(
    source: AsyncConnection,
    target: AsyncConnection,
    table: Table,
    *,
    columns: Sequence[ColumnElement[Any]] | None = None,
    convert: Callable[[Row], Row] | None = None,
    after: Key | None = None,
) -> AsyncIterator[Page]:
    """Yield a table's pages in the order of the primary key.

    The target's transaction is ended after each page: others write to it meanwhile.

    Parameters
    ----------
    columns
        What to read, with the columns of the primary key; all columns when None.
    convert
        Applied to the source's rows.
    after
        Begin behind this key.
    """
    wanted = list(plain_columns(table) if columns is None else columns)
    names = [column.name for column in table.primary_key.columns]
    places = [at for at, column in enumerate(wanted) if getattr(column, "name", None) in names]

    async def read(connection: AsyncConnection) -> dict[Key, Row]:
        key = ordered_key(table, connection)
        query = select(*wanted).order_by(*key).limit(PAGE)
        if after is not None:
            query = query.where(
                tuple_(*key) > tuple_(*after) if len(key) > 1 else key[0] > after[0]
            )
        found = (await connection.execute(query)).all()
        return {tuple(row[at] for at in places): tuple(row) for row in found}

    while True:
        ours, theirs = await asyncio.gather(read(source), read(target))
        await target.rollback()
        full = [max(rows) for rows in (ours, theirs) if len(rows) == PAGE]
        last = min(full, default=None)
        if convert is not None:
            ours = {key: convert(row) for key, row in ours.items()}
        yield Page(source=_until(ours, last), target=_until(theirs, last), last=last)
        if last is None:
            return
        after = last


def ordered_key(table: Table, connection: AsyncConnection) -> list[ColumnElement[Any]]:
    """Return the columns of the primary key so that both databases order them alike.

    Texts are ordered by their code points, as SQLite and Python do it.
    """
    by_code_point = connection.dialect.name == "postgresql"
    return [
        column.collate("C") if by_code_point and isinstance(column.type, Text) else column
        for column in table.primary_key.columns
    ]


def _until(rows: dict[Key, Row], last: Key | None) -> dict[Key, Row]:
    return rows if last is None else {key: row for key, row in rows.items() if key <= last}


def key_of(table: Table) -> Callable[[Row], Key]:
    """Return the function that takes the primary key out of a row with all columns."""
    places = [at for at, column in enumerate(table.columns) if column.primary_key]
    return lambda row: tuple(row[at] for at in places)
