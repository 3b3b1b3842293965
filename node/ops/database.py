"""The database at the start of the node: made ready, or waited for while it is away."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator

from node.ops.cycles import end_the_dead
from schema import Database, DatabaseUnavailable, SchemaError
from schema.engine.backoff import Backoff
from schema.text.words import counted

log = logging.getLogger(__name__)

TO_ANSWER = 120.0
"""Seconds after which the node gives a transaction up: twice what PostgreSQL lets a statement
take, so that by then nobody is there."""

_LONG = 3.0
"""Seconds without an answer after which it counts as away."""

_PATIENCE = 60.0
"""Seconds after which an attempt is given up."""

_BACKOFF = Backoff(first=0.5, longest=15.0)


class Opening:
    """The database on its way: ready, away for the moment, or of no use.

    Attributes
    ----------
    trouble
        Why it is away; None when it is not, or when nobody knows yet.
    """

    def __init__(self, database: Database, *, node: str, insist: bool) -> None:
        self.trouble: str | None = None
        self._database = database
        self._node = node
        self._insist = insist
        self._known = asyncio.Event()
        self._task = asyncio.create_task(self._open(), name="database")
        self._task.add_done_callback(self._is_done)

    @property
    def error(self) -> SchemaError | None:
        """Why it is of no use; None while it may be."""
        if not self._task.done() or self._task.cancelled():
            return None
        error = self._task.exception()
        return error if isinstance(error, SchemaError) else None

    async def seen(self) -> None:
        """Wait until it is ready, or known to be away.

        Raises
        ------
        SchemaError
            It is of no use; also when it is away, and nobody insists.
        """
        late = asyncio.get_running_loop().call_later(
            _LONG, self._is_away, f"it has not answered for {_LONG:g} s"
        )
        try:
            await self._known.wait()
        finally:
            late.cancel()
        if self._task.done():
            await self._task

    async def ready(self) -> None:
        """Wait until it can be used.

        Raises
        ------
        SchemaError
            It is of no use.
        """
        await asyncio.shield(self._task)

    async def close(self) -> None:
        """Wait for it no longer."""
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=_LONG)

    async def _open(self) -> None:
        for failures in itertools.count(1):
            try:
                async with asyncio.timeout(_PATIENCE):
                    await open_database(self._database, node=self._node)
                break
            except DatabaseUnavailable as error:
                if not self._insist:
                    raise
                self._is_away(str(error))
            except TimeoutError:
                self._is_away(f"it has not answered for {_PATIENCE:g} s")
            await asyncio.sleep(_BACKOFF.pause(failures))
        if self.trouble is not None:
            log.warning("The database is there now")
        self.trouble = None

    def _is_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            task.exception()  # that is all its own, whether anybody asks for it or not
        self._known.set()

    def _is_away(self, why: str) -> None:
        if not self._insist:
            return
        if self.trouble is None:
            log.error("The database is away: %s; what is received waits in the spool", why)
        self.trouble = why
        self._known.set()


@contextlib.asynccontextmanager
async def opening(database: Database, *, node: str, insist: bool) -> AsyncIterator[Opening]:
    """Open the database in the background for the length of the block.

    Parameters
    ----------
    node
        Our AE title: cycles of its that died with their process are noted as interrupted.
    insist
        Wait while it is away, however long. One that is missing or of another version is an
        error all the same.
    """
    one = Opening(database, node=node, insist=insist)
    try:
        yield one
    finally:
        await one.close()


async def open_database(database: Database, *, node: str) -> None:
    """Make sure that the database has our schema, and note which cycles died with a process.

    Raises
    ------
    SchemaError
        It is missing, of another version, or away.
    """
    await database.check()
    await warn_of_weaknesses(database)
    interrupted = await end_the_dead(database, node)
    if interrupted:
        log.warning(
            "%s had been interrupted by the end of an earlier process",
            counted(interrupted, "cycle"),
        )


async def warn_of_weaknesses(database: Database) -> None:
    """Warn when the database does not keep what it has committed.

    Raises
    ------
    DatabaseUnavailable
        It is away.
    """
    for weakness in await database.weaknesses():
        log.warning("An acknowledged image may be lost from the index: %s", weakness)
