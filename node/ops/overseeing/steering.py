"""The operator's hand on cycles: shown, paused, resumed and cancelled, whichever process runs them.

What is wanted is written into the cycle's row; its process looks there each second, and answers by
what it makes of the row. A process that is dead answers nothing: where it is known to be, its cycle
counts as interrupted before anybody looks (`node.ops.cycles.end_the_dead`); else it is ended for it
when somebody cancels it.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from node.errors import PermanentError, UsageError
from schema.cycles import finish_cycle, get_wish, want_of_cycle
from schema.engine.database import Database
from schema.reports import CycleSummary, recent_cycles
from schema.tables.ledger import CANCELLED, INTERRUPTED, PAUSED, RUNNING, UNFINISHED, Wish

_TO_PAUSE = 2.0
"""Seconds that are waited for a cycle to say that it has paused; it may be at a long question."""

_TO_END = 6.0
"""Seconds that a cycle has to end, which takes one: then nobody is there."""

_LOOK = 0.1


class CycleEnded(PermanentError):  # noqa: N818 - reads as a sentence where it is raised
    """The cycle has ended already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """A cycle of which something was wanted.

    Attributes
    ----------
    cycle
        As it is now.
    silent
        Whether its process is not heard of any more.
    """

    cycle: CycleSummary
    silent: bool


async def get_cycles(database: Database, ids: Collection[int]) -> list[CycleSummary]:
    """Return cycles by their ids, in that order.

    Raises
    ------
    UsageError
        One of them does not exist.
    """
    async with database.session() as session:
        found = {cycle.id: cycle for cycle in await recent_cycles(session, ids=ids)}
    for one in ids:
        if one not in found:
            raise UsageError(f"there is no cycle {one}; `dicom-node cycles list` shows them")
    return [found[one] for one in ids]


async def pause(database: Database, cycle: CycleSummary) -> Steered:
    """Let a cycle end what it is at, and then wait.

    Raises
    ------
    CycleEnded
    """
    await _want(database, cycle, Wish.PAUSE)
    return await _answered(database, cycle, (PAUSED,), _TO_PAUSE)


async def resume(database: Database, cycle: CycleSummary) -> Steered:
    """Let a cycle go on; of one that was interrupted, let the next one not pause.

    Raises
    ------
    CycleEnded
    """
    await _want(database, cycle, None)
    return await _answered(database, cycle, (RUNNING,), _TO_PAUSE)


async def cancel(database: Database, cycle: CycleSummary) -> Steered:
    """End a cycle, and return when it has ended; where nobody answers, it is ended here.

    Of one that was interrupted, the pause that waits for the next one is dropped.

    Raises
    ------
    CycleEnded
    """
    await _want(database, cycle, Wish.CANCEL)
    steered = await _answered(database, cycle, (), _TO_END)
    if steered.cycle.outcome not in UNFINISHED:
        return steered
    async with database.begin() as session:
        if await get_wish(session, cycle.id) is Wish.CANCEL:
            message = "its process did not answer; should it be there, it ends when it can see this"
            await finish_cycle(session, cycle.id, CANCELLED, steered.cycle.counts, message)
    (ended,) = await get_cycles(database, [cycle.id])
    return Steered(cycle=ended, silent=True)


async def _want(database: Database, cycle: CycleSummary, wish: Wish | None) -> None:
    async with database.begin() as session:
        done = await want_of_cycle(session, cycle.id, wish)
    if not done:
        (now,) = await get_cycles(database, [cycle.id])
        async with database.session() as session:
            newer = await recent_cycles(session, peer=now.peer)
        heir = next((one for one in newer if _goes_on_with(one, now)), None)
        instead = way_on(now)
        if heir is not None:
            instead = f"cycle {heir.id} is {heir.outcome} in its place"
        said = "; ".join(filter(None, (now.outcome, instead)))
        raise CycleEnded(f"cycle {now.id} has ended already: {said}")


def way_on(cycle: CycleSummary) -> str:
    """Say how what a cycle was at is gone on with; empty where it has come to an end."""
    if cycle.outcome != INTERRUPTED:
        return ""
    if cycle.kind == "find":
        return "the same find, begun again within a day, goes on with its answers"
    return f"the next {cycle.kind} goes on where it was"


def _goes_on_with(one: CycleSummary, ended: CycleSummary) -> bool:
    """Tell whether a cycle has begun after another one that was interrupted, and in its place."""
    alike = (one.kind, one.node) == (ended.kind, ended.node) and one.id > ended.id
    return alike and ended.outcome == INTERRUPTED and one.outcome in UNFINISHED


async def _answered(
    database: Database, cycle: CycleSummary, outcomes: Sequence[str], patience: float
) -> Steered:
    """Wait for one of these outcomes, or for the end; not for a process that is not heard of."""
    loop = asyncio.get_running_loop()
    latest = loop.time() + patience
    while True:
        (now,) = await get_cycles(database, [cycle.id])
        steered = Steered(cycle=now, silent=now.silent)
        answered = now.outcome in outcomes or now.outcome not in UNFINISHED
        if answered or steered.silent or loop.time() > latest:
            return steered
        await asyncio.sleep(_LOOK)
