"""Whether a database may be made like another: nothing is ever mirrored over other data.

A table of the target has to be the source's mirror already, by its mark, or every row of it has
to be the source's, as in a restored backup. What lies behind a mark, or makes more rows than the
mark counts, somebody else has written. And the source has to be the one of the last time, no
older than it was then: what it lacks may be in the mirror alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Table, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.errors import MirrorRefused
from schema.mirroring.canonical import fitting
from schema.mirroring.compare import Key, pages
from schema.mirroring.identity import (
    Mark,
    Origin,
    comparable,
    extent,
    last_key,
    natural_key,
    read_marks,
    unique_sets,
)
from schema.tables.rows import plain_columns

_GROWING = frozenset({"cycles", "find_windows", "images", "studies_find"})
"""The tables that have no fewer rows at their ends in the ordinary course of things."""

_WHAT_TO_TYPE = (
    " Nothing was changed there. With --force the mirror becomes like this source all the same,"
    " and what only the mirror has is deleted; or mirror into another database"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who asks to write where.

    Parameters
    ----------
    source, target
        Connections that read.
    where
        How to call the target in a message.
    portable
        Whether rows are made to fit from SQLite into PostgreSQL.
    overwrite
        Whether a mirror may be made like another source than before, or an older one, and lose
        what somebody else has written to it.
    """

    source: AsyncConnection
    target: AsyncConnection
    origin: Origin
    where: str
    portable: bool
    overwrite: bool

    async def admit(self, tables: list[Table], *, counted: bool) -> dict[str, Key]:
        """Make sure that the target may be written to.

        Parameters
        ----------
        counted
            Count the rows as well, which takes a look at each: before any is deleted.

        Returns
        -------
        dict[str, Key]
            The tables whose rows are to be counted anew, and their highest keys.

        Raises
        ------
        MirrorRefused
            When it may not.
        """
        marks = await read_marks(self.target)
        await self.target.rollback()
        if not self.overwrite:
            self._require_same_source(marks)
        anew = {}
        for table in tables:
            if (key := await self._admit(table, marks.get(table.name), counted)) is not None:
                anew[table.name] = key
        return anew

    def _require_same_source(self, marks: Mapping[str, Mark]) -> None:
        for mark in marks.values():
            if None not in (mark.origin.id, self.origin.id) and mark.origin.id != self.origin.id:
                raise MirrorRefused(
                    f"{self.where} is the mirror of another database than {self.origin.place}: of"
                    f" the one with the identity {mark.origin.id}, at {mark.origin.place} then;"
                    f" this one has {self.origin.id}. Was it made anew, or is the source not the"
                    f" one you mean?{_WHAT_TO_TYPE}"
                )

    async def _admit(self, table: Table, mark: Mark | None, counted: bool) -> Key | None:
        """Admit a table; return its highest key when its rows are to be counted anew."""
        highest = await last_key(self.target, table)
        await self.target.rollback()
        if highest is None:
            return None
        if mark is not None and self.overwrite:
            return highest if counted else None
        if mark is not None and self._is_ours(mark):
            await self._require_no_step_back(table, mark)
            if comparable(highest) <= mark.last_key:
                if not counted:
                    return None
                there = await extent(self.target, table)
                await self.target.rollback()
                if mark.extent is None or mark.extent == there:
                    return highest if mark.extent is None else None
        await self._require_every_row(table, marked=mark is not None)
        return highest

    def _is_ours(self, mark: Mark) -> bool:
        if None in (mark.origin.id, self.origin.id):
            return mark.origin.place == self.origin.place
        return mark.origin.id == self.origin.id

    async def _require_no_step_back(self, table: Table, mark: Mark) -> None:
        """Raise when the source has less than the mirror was given, or other things there."""
        if table.name not in _GROWING:
            return
        highest = await last_key(self.source, table)
        if highest is None or comparable(highest) < mark.last_key:
            raise self._stepped_back(
                table, mark, "ends at " + ("nothing" if highest is None else _written(highest))
            )
        names = {name for names in unique_sets(table) for name in names}
        columns = [column for column in table.columns if column.name in names]
        if not columns:
            return
        keys = zip(table.primary_key.columns, mark.last_key, strict=True)
        query = select(*columns).where(and_(*(column == value for column, value in keys)))
        theirs = (await self.target.execute(query)).one_or_none()
        await self.target.rollback()
        ours = (await self.source.execute(query)).one_or_none()
        if theirs is None or ours is None:
            return
        if fitting(columns, portable=self.portable)(tuple(ours)) != tuple(theirs):
            raise self._stepped_back(table, mark, "has another row there")

    def _stepped_back(self, table: Table, mark: Mark, what: str) -> MirrorRefused:
        return MirrorRefused(
            f"{self.origin.place} has gone back behind what {self.where} was given: its table"
            f" {table.name} went to {_written(tuple(mark.last_key))}, and now {what}. Is it a"
            f" restored backup, or were its newest rows deleted?{_WHAT_TO_TYPE}"
        )

    async def _require_every_row(self, table: Table, *, marked: bool) -> None:
        """Raise when the target has a row that is not the source's."""
        key = [column.name for column in table.primary_key.columns]
        wanted = {*key, *natural_key(table)}
        columns = [column for column in plain_columns(table) if column.name in wanted]
        convert = fitting(
            [column for column in table.columns if column.name in wanted], portable=self.portable
        )
        async for page in pages(self.source, self.target, table, columns=columns, convert=convert):
            for found, row in page.target.items():
                if page.source.get(found) != row:
                    what = ", ".join(
                        f"{one} {value}" for one, value in zip(key, found, strict=True)
                    )
                    raise MirrorRefused(
                        f"{self.where} is no mirror of {self.origin.place}: its table {table.name}"
                        f" has a row ({what}) that is not from there."
                        + (
                            f" Somebody else has written to it.{_WHAT_TO_TYPE}"
                            if marked
                            else " Nothing was changed there. Mirror into an empty database, or one"
                            " that only this command writes to"
                        )
                    )


def _written(key: Key) -> str:
    return "/".join(map(str, key))
