"""Keeping a mirror like its source for as long as one likes: `follow`.

A round brings what is new: the rows behind the target's last ones. Whether older rows were
changed or deleted, only comparing whole tables tells. That is done in the first round, and
again for each table when it would take a twentieth of the time since it was done last: small
tables are compared in every round, one that takes a minute every twenty minutes.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from schema.engine.backoff import Backoff
from schema.engine.database import Database
from schema.errors import DatabaseUnavailable
from schema.mirroring.once import prepare
from schema.mirroring.round import Mirroring, MirrorReport, opened
from schema.tables.metadata import mirrored_tables

_SHARE = 20
_BACKOFF = Backoff(first=1.0, longest=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a round of following did.

    Attributes
    ----------
    inserted, updated, deleted
        Rows of the target that were written.
    compared
        Tables that were compared as a whole.
    seconds
        How long it took.
    report
        When all tables were compared and verified.
    """

    inserted: int
    updated: int
    deleted: int
    compared: int
    seconds: float
    report: MirrorReport | None = None


class _Stopped(Exception):  # noqa: N818
    """Somebody asked to stop; the page that was being written is complete."""


async def follow(
    source: Database,
    target: Database,
    *,
    stop: asyncio.Event,
    interval: float = 10.0,
    overwrite: bool = False,
    watch: Callable[[Round], None] = lambda _: None,
    trouble: Callable[[DatabaseUnavailable, float], None] = lambda _error, _seconds: None,
) -> None:
    """Mirror `source` into `target` again and again, until `stop` is set.

    Parameters
    ----------
    stop
        Looked at after every page, so that it takes effect at once.
    interval
        Seconds from the end of a round to the next one.
    overwrite
        As of `mirror`, for the first round alone: what happens later is to be looked at.
    watch
        Called after every round.
    trouble
        Called when a database is away, with the error and the seconds until the next attempt:
        1, 2, 4, … up to 60.

    Raises
    ------
    MirrorRefused, MirrorFailed, SchemaBehind, SchemaAhead, SchemaMissing
        As `mirror` does: waiting does not help.
    """
    follower = _Follower(source, target, stop, overwrite=overwrite)
    failures = 0
    while not stop.is_set():
        try:
            watch(await follower.round())
            failures = 0
            wait = interval
        except _Stopped:
            return
        except DatabaseUnavailable as error:
            failures += 1
            wait = _BACKOFF.pause(failures)
            trouble(error, wait)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)


class _Follower:
    def __init__(
        self, source: Database, target: Database, stop: asyncio.Event, *, overwrite: bool
    ) -> None:
        self._source = source
        self._target = target
        self._stop = stop
        self._overwrite = overwrite
        self._next: dict[str, float] = {}
        """When each table is to be compared as a whole, by the monotonic clock."""

    async def round(self) -> Round:
        started = time.monotonic()
        await prepare(self._source, self._target)
        async with opened(
            self._source, self._target, watch=self._look, overwrite=self._overwrite
        ) as mirroring:
            due = {
                one.name for one in mirrored_tables() if self._next.get(one.name, 0.0) <= started
            }
            if len(due) < len(mirrored_tables()):
                await mirroring.admit()
                with suppress(IntegrityError):
                    done = await self._some(mirroring, due, started)
                    if done is not None:
                        return done
            return await self._everything(mirroring, started)

    def _look(self, _table: str, _rows: int) -> None:
        if self._stop.is_set():
            raise _Stopped

    async def _some(self, mirroring: Mirroring, due: set[str], started: float) -> Round | None:
        """Compare the tables that are due, and the ends of the others; None if that is too little.

        What the source has no more can only be deleted with all that belongs to it.
        """
        inserted = updated = 0
        for table in mirrored_tables():
            whole = table.name in due
            after = None if whole else await mirroring.tail(table)
            found = await mirroring.compare(table, copy=True, after=after, parking=False)
            if found.excess:
                return None
            if whole:
                self._compared(table.name, mirroring)
            inserted += found.missing
            updated += found.different
        if inserted:
            await mirroring.settle()
        return Round(
            inserted=inserted,
            updated=updated,
            deleted=0,
            compared=len(due),
            seconds=time.monotonic() - started,
        )

    async def _everything(self, mirroring: Mirroring, started: float) -> Round:
        report = await mirroring.everything()
        self._overwrite = False
        for table in report.tables:
            self._compared(table.table, mirroring)
        return Round(
            inserted=sum(table.inserted for table in report.tables),
            updated=sum(table.updated for table in report.tables),
            deleted=sum(table.deleted for table in report.tables),
            compared=len(report.tables),
            seconds=time.monotonic() - started,
            report=report,
        )

    def _compared(self, table: str, mirroring: Mirroring) -> None:
        self._next[table] = time.monotonic() + _SHARE * mirroring.took[table]
