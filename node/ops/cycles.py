"""A cycle is a row: what was started, by whom, and how it ended, whatever happens.

While it runs its process looks into the row each second: what an operator wants of it (see
`node.ops.overseeing.steering`) is written there, from whichever machine. A database that is away
for a while changes nothing: the cycle goes on as it did.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal

from node.errors import Busy, CycleCancelled, NodeError
from node.ops.holding import PeerHold, holding
from node.ops.processes import is_alive, start_of
from schema import Database, SchemaError
from schema.coverage.asked import AskedDates
from schema.cycles import (
    dead_cycles,
    finish_cycle,
    get_wish,
    hear_of_cycle,
    interrupt_cycles,
    interrupt_finds,
    is_interrupted,
    pause_cycle,
    start_cycle,
)
from schema.engine.postgresql.statistics import renew_statistics
from schema.errors import DatabaseReadOnly
from schema.tables.ledger import CANCELLED, INTERRUPTED, Wish

log = logging.getLogger(__name__)

_TO_SAY_GOODBYE = 3.0
"""Seconds that a cancelled cycle may take to record its end."""

_LOOK = 1.0
"""Seconds from one look into the row to the next."""

TO_BE_HEARD = 10.0
"""Seconds from one sign of life in the row to the next."""

_TO_ANSWER = 5.0
"""Seconds that the database has for either; then it is away."""


async def end_the_dead(database: Database, node: str) -> int:
    """End the cycles whose process has ended without a word, as interrupted; return how many.

    Parameters
    ----------
    node
        Our AE title: of our own processes we know which are dead, whatever their rows say, but for
        those on other machines and in other containers: these are when they are not heard of. What
        other nodes have is theirs to end.
    """
    async with database.session() as session:
        if not await dead_cycles(session, node, alive=is_alive):
            return 0  # nothing is written: whoever only looks must not wait for who writes
    try:
        async with database.begin() as session:
            return await interrupt_cycles(session, node, alive=is_alive)
    except DatabaseReadOnly:
        return 0  # whoever may only look sees what was left


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
    wish
        What an operator wants of it, as far as we know; None: that it goes on.
    doubted
        Somebody has taken its process for dead, and may be at its work.
    """

    def __init__(self, database: Database, id: int) -> None:  # noqa: A002
        self.id = id
        self.counts: dict[str, int] = {}
        self.partial = False
        self.message: str | None = None
        self.stopped = False
        self._database = database
        self.wish: Wish | None = None
        self.doubted = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()

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
        if not self._going.is_set():
            await park()
            log.warning("Cycle %d is paused; `dicom-node cycles resume %d`", self.id, self.id)
            await self._note(paused=True)
            await self._going.wait()
            await self._note(paused=False)
        return True

    async def _note(self, *, paused: bool) -> None:
        try:
            async with self._database.begin() as session:
                await pause_cycle(session, self.id, paused=paused)
        except SchemaError as error:
            log.warning("That cycle %d waits is not recorded: %s", self.id, error)

    async def look(self) -> None:
        """See what is wanted of it."""
        try:
            async with asyncio.timeout(_TO_ANSWER), self._database.session() as session:
                self.wish = await get_wish(session, self.id)
                if await is_interrupted(session, self.id):
                    self.doubted.set()
        except (SchemaError, TimeoutError) as error:
            log.debug("What is wanted of cycle %d is not known: %s", self.id, error)
        if self.wish is Wish.PAUSE:
            self._going.clear()
        else:
            self._going.set()

    async def be_heard(self) -> None:
        """Give a sign of life."""
        try:
            async with asyncio.timeout(_TO_ANSWER), self._database.begin() as session:
                await hear_of_cycle(session, self.id)
        except (SchemaError, TimeoutError) as error:
            log.debug("Cycle %d gives no sign of life: %s", self.id, error)

    async def renew_statistics(self) -> None:
        """Let the database know how much is in it by now; that it cannot is no matter."""
        with contextlib.suppress(SchemaError, TimeoutError):
            async with asyncio.timeout(_TO_ANSWER), self._database.begin() as session:
                await renew_statistics(session)


class _Steering:
    """What watches the row of a cycle for as long as it runs, beside the task that it runs in."""

    def __init__(
        self, record: RunningCycle, owner: "asyncio.Task[None]", hold: PeerHold | None
    ) -> None:
        self._owner = owner
        self._error: NodeError | None = None
        self._tasks = [
            asyncio.create_task(self._watch(record), name=f"watch cycle {record.id}"),
            asyncio.create_task(
                self._be_heard(record, hold), name=f"cycle {record.id} is heard of"
            ),
        ]
        for task in self._tasks:
            task.add_done_callback(_say_why)

    async def _watch(self, record: RunningCycle) -> None:
        while record.wish is not Wish.CANCEL:
            await asyncio.sleep(_LOOK)
            await record.look()
        self._stop(
            CycleCancelled(
                f"cycle {record.id} was cancelled by an operator; what it had recorded is kept"
            )
        )

    async def _be_heard(self, record: RunningCycle, hold: PeerHold | None) -> None:
        """Give signs of life, as long as nobody else has the peer."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TO_BE_HEARD):
                    await record.doubted.wait()
            record.doubted.clear()
            with contextlib.suppress(SchemaError):
                if hold is not None and not await hold.lasts(record.id):
                    break
            await record.be_heard()
            await record.renew_statistics()
        self._stop(
            Busy(
                f"cycle {record.id} has ended: the connection to the database was lost for a "
                "while, and another find asks this peer since; what it had recorded is kept"
            )
        )

    def _stop(self, error: NodeError) -> None:
        self._error = error
        self._owner.cancel()

    async def end(self) -> NodeError | None:
        """Watch no more; return why the cycle was ended from here, and by nobody else."""
        for task in self._tasks:
            task.cancel()
        if self._error is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)  # ours comes here, when it has not come before
        await asyncio.wait(self._tasks, timeout=1.0)
        return self._error if self._error is not None and not self._owner.uncancel() else None


def _say_why(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("The task '%s' died: %s: %s", task.get_name(), type(error).__name__, error)


@contextlib.asynccontextmanager
async def cycle(
    database: Database,
    kind: Literal["find", "move", "count"],
    *,
    peer: str,
    node: str,
    asked: Sequence[AskedDates] | None = None,
) -> AsyncIterator[RunningCycle]:
    """Record a cycle for the length of the block; those of dead processes are ended before.

    It ends as `done` or `partial`; as `failed`, with the message, when the block raises; as
    `interrupted` when its task is cancelled, or it stopped; as `cancelled` when an operator wants
    that.

    Parameters
    ----------
    asked
        What a find of dates is to cover: it holds the peer, and there is no other one there. None:
        it is none.

    Raises
    ------
    Busy
        Another find holds the peer, and there is no row; or it does by now, as the connection to
        the database was lost meanwhile.
    CycleCancelled
        In the place of whatever the block was at.
    """
    async with contextlib.AsyncExitStack() as stack:
        hold = None if asked is None else await stack.enter_async_context(holding(database, peer))
        yield await stack.enter_async_context(
            _recorded(database, kind, peer=peer, node=node, asked=asked, hold=hold)
        )


@contextlib.asynccontextmanager
async def _recorded(
    database: Database,
    kind: str,
    *,
    peer: str,
    node: str,
    asked: Sequence[AskedDates] | None,
    hold: PeerHold | None,
) -> AsyncIterator[RunningCycle]:
    async with database.begin() as session:
        # this one goes on with what they have left, and takes their pause over
        await interrupt_cycles(session, node, alive=is_alive)
        if hold is not None:  # who should have it has not
            await interrupt_finds(session, peer)
        pid = os.getpid()
        id_ = await start_cycle(
            session, kind, peer=peer, node=node, pid=pid, process=start_of(pid), asked=asked
        )
    record = RunningCycle(database, id_)
    steering = await _steered(database, record, hold)
    try:
        yield record
    except (Exception, asyncio.CancelledError) as error:
        if steering is not None and (ours := await steering.end()) is not None:
            cancelled = isinstance(ours, CycleCancelled)
            await _say_goodbye(database, record, CANCELLED if cancelled else INTERRUPTED)
            raise ours from error
        if isinstance(error, asyncio.CancelledError):
            await _say_goodbye(database, record, INTERRUPTED)
        else:
            await _finish(database, record, "failed", str(error))
        raise
    if steering is not None:
        await steering.end()
    if record.stopped:
        await _finish(database, record, INTERRUPTED, "the hours ended")
    else:
        await _finish(database, record, "partial" if record.partial else "done", record.message)
    await record.renew_statistics()


async def _steered(
    database: Database, record: RunningCycle, hold: PeerHold | None
) -> _Steering | None:
    """Watch a cycle's row; not in a database in memory, which nobody else can reach."""
    owner = asyncio.current_task()
    if owner is None or (database.dialect == "sqlite" and database.path is None):
        return None
    await record.look()  # it may have to pause from the start
    return _Steering(record, owner, hold)


async def _say_goodbye(database: Database, record: RunningCycle, outcome: str) -> None:
    """Record the end of what was cancelled: whatever happens to the row, that must come through."""
    try:
        async with asyncio.timeout(_TO_SAY_GOODBYE):
            await _finish(database, record, outcome, None)
    except Exception as error:  # noqa: BLE001
        log.warning("The end of cycle %d is not recorded: %s", record.id, type(error).__name__)


async def _finish(
    database: Database, record: RunningCycle, outcome: str, message: str | None
) -> None:
    async with database.begin() as session:
        await finish_cycle(
            session, record.id, outcome=outcome, counts=record.counts, message=message
        )
