"""A cycle is a row: what was started, by whom, and how it ended, whatever happens."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from schema import Database
from schema.cycles import finish_cycle, start_cycle

log = logging.getLogger(__name__)

_TO_SAY_GOODBYE = 3.0
"""Seconds that a cancelled cycle may take to record its end."""


@dataclass(slots=True)
class RunningCycle:
    """A running cycle; set `counts` and `partial` before its block ends."""

    id: int
    counts: dict[str, int] = field(default_factory=dict)
    partial: bool = False


@asynccontextmanager
async def cycle(
    database: Database, kind: Literal["find", "move"], *, peer: str, node: str
) -> AsyncIterator[RunningCycle]:
    """Record a cycle for the length of the block.

    It ends as `done` or `partial`; as `failed`, with the message, when the block raises; as
    `interrupted` when its task is cancelled.
    """
    async with database.begin() as session:
        record = RunningCycle(
            await start_cycle(session, kind, peer=peer, node=node, pid=os.getpid())
        )
    try:
        yield record
    except asyncio.CancelledError:
        # whatever happens to the row, the cancellation must come through
        try:
            async with asyncio.timeout(_TO_SAY_GOODBYE):
                await _finish(database, record, "interrupted", None)
        except Exception as error:  # noqa: BLE001
            log.warning("The end of cycle %d is not recorded: %s", record.id, type(error).__name__)
        raise
    except Exception as error:
        await _finish(database, record, "failed", str(error))
        raise
    await _finish(database, record, "partial" if record.partial else "done", None)


async def _finish(
    database: Database, record: RunningCycle, outcome: str, message: str | None
) -> None:
    async with database.begin() as session:
        await finish_cycle(
            session, record.id, outcome=outcome, counts=record.counts, message=message
        )
