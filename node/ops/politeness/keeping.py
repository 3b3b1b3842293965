"""Where a throttle stands: told in the logs, and kept in the database."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from node.errors import NodeError
from node.ops.politeness.pacing import Pacer
from node.ops.politeness.throttle import Throttle, ThrottleStanding
from schema import Database, SchemaError, utcnow
from schema.politeness.throttles import PeerThrottled, keep_throttle, throttles
from schema.tables.columns import latest

log = logging.getLogger(__name__)

_LOOK = 0.5
"""Seconds from one look at the throttle to the next."""

_AT_MOST = 5.0
"""Seconds from one row to the next, however often the level changes ..."""

_AT_LEAST = 60.0
"""... and though it does not."""

KNOWN_FOR = timedelta(hours=1)
"""So long the level of the move before is where the next one begins: what is older says nothing."""

FRESH = timedelta(minutes=3)
"""So long a row says what is asked for now: in a move, one is written every minute."""

_TO_ANSWER = 3.0
"""Seconds that the database has at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How gently a peer is asked for images.

    Attributes
    ----------
    pause
        Seconds from the end of a retrieval to the next over the same association.
    throttle
        Whether it is asked for less while it is slow to answer.
    """

    pause: float = 0.0
    throttle: bool = False


@asynccontextmanager
async def pacing_of(
    database: Database,
    peer: str,
    pacing: Pacing,
    *,
    node: str,
    lines: int,
    is_busy: Callable[[NodeError], bool],
) -> AsyncIterator[Pacer]:
    """Pace for the length of the block; where the throttle stands is kept.

    Parameters
    ----------
    peer
        Its configured name.
    node
        Our AE title.
    lines
        Retrievals at once, at most.
    is_busy
        Tells whether a failure says that the peer has too much to do.

    Raises
    ------
    SchemaError
        Nobody knows where it was left.
    """
    if not pacing.throttle:
        yield Pacer(lines, pause=pacing.pause)
        return
    level = await _left_at(database, peer, node)
    throttle = Throttle(lines, now=time.monotonic(), level=level)
    task = asyncio.create_task(_keep(database, peer, node, throttle), name="keep a throttle")
    try:
        yield Pacer(lines, pause=pacing.pause, throttle=throttle, is_busy=is_busy)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TO_ANSWER):
                await _write(database, peer, node, throttle.standing)


def words(level: float) -> str:
    """Return what a level means, for people."""
    if level < 1:
        return f"one retrieval at a time, {level:.0%} of the time"
    return f"{int(level)} at once" if level >= 2 else "one retrieval at a time"


async def _left_at(database: Database, peer: str, node: str) -> float | None:
    """Return where the last move has left the throttle; None where that says nothing any more."""
    async with database.session() as session:
        rows = await throttles(session, peers=[peer])
    kept = next((row for row in rows if row.node == node), None)
    known = kept is not None and utcnow() - KNOWN_FOR <= kept.updated_on <= latest()
    return kept.level if kept is not None and known else None


async def _keep(database: Database, peer: str, node: str, throttle: Throttle) -> None:
    told, written, written_at = throttle.standing, throttle.standing, time.monotonic()
    while True:
        await asyncio.sleep(_LOOK)
        standing, now = throttle.standing, time.monotonic()
        if standing.level != told.level:
            told = standing
            why = f"for {standing.reason}" if standing.reason else "as it answers as it does alone"
            log.info("%s: %s, %s", peer, words(standing.level), why)
        due = _AT_MOST if standing.level != written.level else _AT_LEAST
        if now - written_at >= due:
            await _write(database, peer, node, standing)
            written, written_at = standing, now


async def _write(database: Database, peer: str, node: str, standing: ThrottleStanding) -> None:
    row = PeerThrottled(
        peer=peer,
        node=node,
        level=standing.level,
        reason=standing.reason,
        usual=standing.usual,
        latest=standing.latest,
        since=utcnow() - timedelta(seconds=time.monotonic() - standing.since),
        updated_on=utcnow(),
    )
    try:
        await database.run(keep_throttle, row)
    except SchemaError as error:
        log.debug("How gently %s is asked is not recorded: %s", peer, error)
