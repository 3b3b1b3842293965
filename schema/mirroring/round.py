"""One round of mirroring: the steps that `mirror` and `follow` are made of."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import Table, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.engine.database import Database
from schema.engine.faults import translated
from schema.errors import MirrorFailed
from schema.mirroring.admission import Admission
from schema.mirroring.canonical import Canonical, Row, fitting
from schema.mirroring.compare import PAGE, Comparison, Key, Page, key_of, ordered_key, pages
from schema.mirroring.identity import (
    Origin,
    last_key,
    note_extent,
    note_removed,
    origin_of,
    prepare_marks,
    set_mark,
)
from schema.mirroring.target import advance_sequence, park, refused, remove, upsert
from schema.tables.metadata import mirrored_tables
from schema.tables.rows import snapshot

Watch = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredTable:
    """How a table of both databases compares, and what was done for it.

    Attributes
    ----------
    source_rows, target_rows
        How many rows there are.
    source_digest, target_digest
        SHA-256 over the rows in one canonical form, the same for SQLite and PostgreSQL.
    inserted, updated, deleted
        Rows of the target that were written.
    missing, different, excess
        Rows that the target lacks, has otherwise, or has beyond the source's: 0 when all is
        well.
    """

    table: str
    source_rows: int
    target_rows: int
    source_digest: str
    target_digest: str
    inserted: int
    updated: int
    deleted: int
    missing: int
    different: int
    excess: int

    @property
    def equal(self) -> bool:
        """Whether the table has the same rows on both sides."""
        return self.source_rows == self.target_rows and self.source_digest == self.target_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorReport:
    """How two databases compare, table by table, parents first."""

    tables: tuple[MirroredTable, ...]

    @property
    def equal(self) -> bool:
        """Whether all tables are equal."""
        return all(table.equal for table in self.tables)


class Mirroring:
    """A round of mirroring: one snapshot of the source.

    Parameters
    ----------
    source
        A connection that reads in the snapshot.
    reading
        A connection that reads the target.
    target
        Writes go there in transactions of their own.
    origin
        What the target's marks call the source.
    overwrite
        Whether the target may be made like another source than before, or an older one.

    Attributes
    ----------
    took
        Seconds that the last comparison of each table took.
    """

    def __init__(
        self,
        source: AsyncConnection,
        reading: AsyncConnection,
        target: Database,
        origin: Origin,
        *,
        watch: Watch,
        overwrite: bool,
    ) -> None:
        self._source = source
        self._reading = reading
        self._target = target
        self._origin = origin
        self._watch = watch
        kinds = source.dialect.name, reading.dialect.name
        self.took: dict[str, float] = {}
        self._exact = kinds[0] == kinds[1]
        self._portable = kinds == ("sqlite", "postgresql")
        self._admission = Admission(
            source=source,
            target=reading,
            origin=origin,
            where=str(target),
            portable=self._portable,
            overwrite=overwrite,
        )

    async def admit(self, *, counted: bool = False) -> None:
        """Make sure that nobody else writes to the target, and that the source is no other one.

        Parameters
        ----------
        counted
            Whether to count the rows for it: a deletion needs that.
        """
        tables = mirrored_tables()
        anew = await self._admission.admit(tables, counted=counted)
        async with self._target.begin() as session:
            connection = await session.connection()
            await prepare_marks(connection)
            for table in tables:
                if table.name in anew:
                    await note_extent(connection, table, self._origin, anew[table.name])

    async def compare(
        self, table: Table, *, copy: bool = False, after: Key | None = None, parking: bool = True
    ) -> Comparison:
        """Compare a table behind a key; write to the target what it lacks or has otherwise.

        Raises
        ------
        IntegrityError
            Without `parking`, when a row cannot be written before others are put right.
        """
        started = time.monotonic()
        comparison = Comparison()
        canonical = Canonical(table, exact=self._exact)
        convert = fitting(list(table.columns), portable=self._portable)
        try:
            async for page in pages(
                self._source, self._reading, table, convert=convert, after=after
            ):
                wrong = comparison.add(page, canonical)
                if copy and wrong:
                    await self._write(table, wrong, page, parking=parking)
                self._watch(table.name, len(page.source))
        except (ValueError, TypeError) as error:
            # Its message may quote a value.
            raise MirrorFailed(
                f"the table {table.name} has a row near number {comparison.source_rows + 1} that"
                f" cannot be read: {type(error).__name__}"
            ) from error
        self.took[table.name] = time.monotonic() - started
        return comparison

    async def tail(self, table: Table) -> Key | None:
        """Return the key behind which the target's last page of rows begins.

        Rows may become visible in another order than their ids: the last ones are looked at
        again.
        """
        key = ordered_key(table, self._reading)
        query = select(*table.primary_key.columns).order_by(*(one.desc() for one in key))
        row = (await self._reading.execute(query.offset(PAGE - 1).limit(1))).one_or_none()
        await self._reading.rollback()
        return None if row is None else tuple(row)

    async def check(self, table: Table) -> MirroredTable:
        """Compare a table, and write nothing."""
        comparison = await self.compare(table)
        return _report(table, comparison, comparison, written=False)

    async def everything(self) -> MirrorReport:
        """Make all tables equal, delete what the source no longer has, and verify.

        Raises
        ------
        MirrorRefused
            When somebody else has written to the target. Nothing was changed there.
        """
        await self.admit(counted=True)
        tables = mirrored_tables()
        first = {table.name: await self.compare(table, copy=True) for table in tables}
        for table in reversed(tables):
            if first[table.name].excess:
                await self._remove_excess(table)
        reports = []
        for table in tables:
            before = first[table.name]
            after = before if before.equal else await self.compare(table)
            reports.append(_report(table, before, after, written=True))
        await self.settle()
        return MirrorReport(tables=tuple(reports))

    async def settle(self) -> None:
        """Let new rows be numbered behind the highest ids, and mark how far the tables go."""
        async with self._target.begin() as session:
            connection = await session.connection()
            for table in mirrored_tables():
                await advance_sequence(connection, table)
                highest = await last_key(connection, table)
                await set_mark(connection, table, self._origin, highest, lower=True)

    async def _write(self, table: Table, rows: list[Row], page: Page, *, parking: bool) -> None:
        find = key_of(table)
        added = [key for row in rows if (key := find(row)) not in page.target]
        async with self._target.begin() as session:
            connection = await session.connection()
            try:
                await upsert(connection, table, rows)
            except IntegrityError:
                if not parking:
                    raise
                await park(connection, table, rows)
                try:
                    await upsert(connection, table, rows)
                except IntegrityError as error:
                    raise refused(table, rows, error) from error
            await set_mark(connection, table, self._origin, max(page.source), added=added)

    async def _remove_excess(self, table: Table) -> None:
        columns = list(table.primary_key.columns)
        async for page in pages(self._source, self._reading, table, columns=columns):
            if excess := sorted(page.target.keys() - page.source.keys()):
                async with self._target.begin() as session:
                    connection = await session.connection()
                    await remove(connection, table, excess)
                    await note_removed(connection, table, excess)


@asynccontextmanager
async def opened(
    source: Database, target: Database, *, watch: Watch, overwrite: bool = False
) -> AsyncIterator[Mirroring]:
    """Take a snapshot of the source, and connect to the target."""
    async with source.session() as session, snapshot(session) as reading:
        with translated():
            async with target.engine.connect() as other:
                origin = await origin_of(source, reading)
                yield Mirroring(reading, other, target, origin, watch=watch, overwrite=overwrite)


def _report(table: Table, before: Comparison, after: Comparison, *, written: bool) -> MirroredTable:
    return MirroredTable(
        table=table.name,
        source_rows=after.source_rows,
        target_rows=after.target_rows,
        source_digest=after.source_digest,
        target_digest=after.target_digest,
        inserted=before.missing if written else 0,
        updated=before.different if written else 0,
        deleted=before.excess if written else 0,
        missing=after.missing,
        different=after.different,
        excess=after.excess,
    )
