"""A cycle is a row: what was started, by whom, and how it ended, whatever happens.

While it runs its process looks into the row each second: what an operator wants of it (see
`node.ops.overseeing.steering`) is written there, from whichever machine. A database that is away
for a while changes nothing: the cycle goes on as it did.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from node.errors import CycleCancelled
from node.ops.cycling.running import RunningCycle
from node.ops.cycling.steering import Steering
from node.ops.holding import PeerHold, holding
from node.ops.processes import CYCLES, runs, start_of
from schema import Database
from schema.coverage.asked import AskedDates
from schema.cycles import (
    dead_cycles,
    finish_cycle,
    interrupt_cycles,
    interrupt_finds,
    start_cycle,
)
from schema.errors import DatabaseReadOnly
from schema.tables.ledger import CANCELLED, INTERRUPTED

log = logging.getLogger(__name__)

_TO_SAY_GOODBYE = 3.0
"""Seconds that a cancelled cycle may take to record its end."""


async def end_the_dead(database: Database, node: str) -> int:
    """End the cycles whose process has ended without a word, as interrupted; return how many.

    Of the processes of `node`, our AE title, we know which are dead, whatever their rows say, but
    for those on other machines and in other containers: these are when they are not heard of. What
    other nodes have is theirs to end, but for moves of which nothing was heard for long.
    """
    async with database.session() as session:
        if not await dead_cycles(session, node, alive=runs):
            return 0  # nothing is written: whoever only looks must not wait for who writes
    try:
        async with database.begin() as session:
            return await interrupt_cycles(session, node, alive=runs)
    except DatabaseReadOnly:
        return 0  # whoever may only look sees what was left


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

    A find of dates is `asked` to cover these: it holds the peer, and there is no other one there.

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
        record = await stack.enter_async_context(
            _recorded(database, kind, peer=peer, node=node, asked=asked, hold=hold)
        )
        yield record


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
        await interrupt_cycles(session, node, alive=runs)
        if hold is not None:  # who should have it has not
            await interrupt_finds(session, peer)
        pid = os.getpid()
        id_ = await start_cycle(
            session, kind, peer=peer, node=node, pid=pid, process=start_of(pid), asked=asked
        )
        CYCLES.add(id_)
    record = RunningCycle(database, id_)
    try:
        async with _ended(record, await _steered(database, record, hold)):
            yield record
    finally:
        CYCLES.discard(id_)  # where its end was not recorded, the next one does that


@contextlib.asynccontextmanager
async def _ended(record: RunningCycle, steering: "Steering | None") -> AsyncIterator[None]:
    """Record the end of a cycle at the end of the block."""
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        if steering is not None and (ours := await steering.end()) is not None:
            cancelled = isinstance(ours, CycleCancelled)
            await _say_goodbye(record, CANCELLED if cancelled else INTERRUPTED)
            raise ours from error
        if isinstance(error, asyncio.CancelledError):
            await _say_goodbye(record, INTERRUPTED)
        else:
            await _finish(record, "failed", str(error))
        raise
    if steering is not None:
        await steering.end()
    if record.stopped:
        await _finish(record, INTERRUPTED, "the hours ended")
    else:
        await _finish(record, "partial" if record.partial else "done", record.message)
    await record.renew_statistics()


async def _steered(
    database: Database, record: RunningCycle, hold: PeerHold | None
) -> Steering | None:
    """Watch a cycle's row; not in a database in memory, which nobody else can reach."""
    owner = asyncio.current_task()
    if owner is None or (database.dialect == "sqlite" and database.path is None):
        record.alone = True
        return None
    await record.look()  # it may have to pause from the start
    return Steering(record, owner, hold)


async def _say_goodbye(record: RunningCycle, outcome: str) -> None:
    """Record the end of what was cancelled: whatever happens to the row, that must come through."""
    try:
        async with asyncio.timeout(_TO_SAY_GOODBYE):
            await _finish(record, outcome, None)
    except Exception as error:  # noqa: BLE001
        log.warning("The end of cycle %d is not recorded: %s", record.id, type(error).__name__)


async def _finish(record: RunningCycle, outcome: str, message: str | None) -> None:
    async with record.database.begin() as session:
        await finish_cycle(
            session, record.id, outcome=outcome, counts=record.counts, message=message
        )
