"""What a running cycle knows of itself, and of what is wanted of it."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from node.ops.cycling.ending import Endings
from node.ops.processes import runs
from schema import Database, SchemaError
from schema.cycles import (
    SILENT,
    get_wish,
    hear_of_cycle,
    interrupt_silent,
    is_interrupted,
    pause_cycle,
)
from schema.deciding.ending import get_unwanted
from schema.engine.postgresql.statistics import renew_statistics
from schema.tables.ledger import Wish

log = logging.getLogger(__name__)

_TO_ANSWER = 5.0
"""Seconds that the database has for either; then it is away."""

_SURE = 25.0
"""Seconds since the last sign of life: so long nobody can have taken the process for dead."""

_SET = 30.0
"""Seconds by which the clock of the signs of life and ours go apart when one was set; less does no
harm."""


class RunningCycle:
    """A running cycle; set `counts` and `partial` before its block ends.

    Attributes
    ----------
    id
        Of its row.
    counts
        What it has come to, by name.
    partial
        Whether something of it is left for another time.
    message
        Why something is left, in words, for its row.
    stopped
        Whether it stopped before its end, as the hours were over: it counts as interrupted.
    endings
        What an operator wants of single attempts of it.
    wish
        What an operator wants of it, as far as we know; None: that it goes on.
    doubted
        Somebody has taken its process for dead, and may be at its work.
    alone
        Whether nobody else can reach its database.
    doubts
        How often that was so, or may have been: what it had claimed before may be others' since.
    """

    def __init__(self, database: Database, id: int) -> None:  # noqa: A002
        self.id = id
        self.counts: dict[str, int] = {}
        self.partial = False
        self.message: str | None = None
        self.stopped = False
        self.endings = Endings()
        self.database = database
        self.wish: Wish | None = None
        self.doubted = asyncio.Event()
        self.doubts = 0
        self.alone = False
        self._heard = asyncio.get_running_loop().time()
        self._sign: datetime | None = None
        self._judges_from = self._heard
        self._going = asyncio.Event()
        self._going.set()

    @property
    def is_heard_of(self) -> bool:
        """Whether nobody can have taken its process for dead, at this moment."""
        return self.alone or asyncio.get_running_loop().time() - self._heard < _SURE

    @property
    def paused(self) -> bool:
        """Whether it is to pause, as far as we know."""
        return not self._going.is_set()

    async def may_go_on(self, park: Callable[[], Awaitable[None]]) -> bool:
        """Wait while it is to pause; to be called before each question and each study.

        Parameters
        ----------
        park
            Called before a wait: nobody knows for how long.

        Returns
        -------
        bool
            True, for the condition of a loop.
        """
        if self.paused:
            await park()
            log.warning("Cycle %d is paused; `dicom-node cycles resume %d`", self.id, self.id)
            await self._note(paused=True)
            await self._going.wait()
            await self._note(paused=False)
        return True

    async def _note(self, *, paused: bool) -> None:
        try:
            async with self.database.begin() as session:
                await pause_cycle(session, self.id, paused=paused)
        except SchemaError as error:
            log.warning("That cycle %d waits is not recorded: %s", self.id, error)

    async def look(self) -> None:
        """See what is wanted of it."""
        try:
            async with asyncio.timeout(_TO_ANSWER), self.database.session() as session:
                self.wish = await get_wish(session, self.id)
                self.endings.take(await get_unwanted(session, self.id))
                if await is_interrupted(session, self.id):
                    self.doubted.set()
                    self.doubts += 1
        except (SchemaError, TimeoutError) as error:
            log.debug("What is wanted of cycle %d is not known: %s", self.id, error)
        if self.wish is Wish.PAUSE:
            self._going.clear()
        else:
            self._going.set()

    async def be_heard(self) -> None:
        """Give a sign of life, and end what is heard of no more: others can go on with it then.

        Nothing is ended just after the clock was set: the signs of others are older, or newer, by
        that until they have given the next one.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_TO_ANSWER), self.database.begin() as session:
                sign = await hear_of_cycle(session, self.id)
                passed = timedelta(seconds=loop.time() - self._heard)
                if self._sign and abs(sign - self._sign - passed).total_seconds() > _SET:
                    self._judges_from = loop.time() + SILENT.total_seconds()
                if loop.time() >= self._judges_from:
                    await interrupt_silent(session, alive=runs)
            self.doubts += not self.is_heard_of
            self._heard, self._sign = loop.time(), sign
        except (SchemaError, TimeoutError) as error:
            log.debug("Cycle %d gives no sign of life: %s", self.id, error)

    async def renew_statistics(self) -> None:
        """Let the database know how much is in it by now; that it cannot is no matter."""
        with contextlib.suppress(SchemaError, TimeoutError):
            async with asyncio.timeout(_TO_ANSWER), self.database.begin() as session:
                await renew_statistics(session)
