"""The cycles that the daemon runs by itself: find and move, each on its schedule.

What goes wrong at a peer, on the disk or in the database is logged and tried again in the
next cycle. Anything else is a mistake in the node, and stops it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta

from node.config import CommonHours, Config
from node.daemon.schedule import Schedule
from node.errors import Busy, CycleCancelled, NodeError
from node.ops.finding.peers import find_at_peers
from node.ops.finding.report import FindBegun, FindReport, FindResumed, WindowResult
from node.ops.guarding.under_way import UnderWay
from node.ops.moving.peers import move_due
from node.ops.moving.report import (
    MoveBegun,
    MoveReport,
    MoveWaits,
    StudyProgress,
    StudyResult,
)
from node.ops.receiving.intake import Intake
from node.ops.tour import PeerTrouble, raise_if_cancelled
from schema import Database, SchemaError
from schema.coverage.drift import in_words
from schema.finding.past import last_find_began
from schema.tables.columns import present, utcnow
from schema.text.words import counted

log = logging.getLogger(__name__)

_NAMED = 5
"""Gaps of a find that are named: `coverage` has them all."""


async def run_on_schedule(
    name: str,
    schedule: Schedule,
    cycle: Callable[[], Awaitable[None]],
    *,
    began_on: datetime | None = None,
) -> None:
    """Run a cycle when it is due, for ever.

    Parameters
    ----------
    began_on
        When the last one began that another process ran, naive UTC; None when there was none.
    """
    began: float | None = None
    if began_on is not None:
        ago = utcnow() - began_on
        began = _moment() - max(0.0, ago.total_seconds())
    number = 0
    while True:
        told = False
        while (wait := _wait(schedule, began, number)) > 0:
            if not told:
                due = (present() + timedelta(seconds=wait)).astimezone()
                log.info("The next %s cycle begins at %s", name, f"{due:%Y-%m-%d %H:%M:%S}")
                told = True
            # the hours are the wall clock's, which may jump: look at it again before long
            await asyncio.sleep(min(wait, 60.0))
        began = _moment()
        number += 1
        try:
            await cycle()
        except (NodeError, SchemaError) as error:
            raise_if_cancelled(error)
            log.error("The %s cycle failed: %s", name, error)  # noqa: TRY400


def _wait(schedule: Schedule, began: float | None, number: int) -> float:
    since = None if began is None else _moment() - began
    return schedule.wait(since, present(), number=number)


def _moment() -> float:
    """Return the time by a clock that nobody sets, in seconds."""
    return asyncio.get_running_loop().time()


def peers_by_hours(
    names: Iterable[str], hours: Callable[[str], CommonHours]
) -> dict[CommonHours, tuple[str, ...]]:
    """Return the peers that have the same hours, by them: these have cycles of their own."""
    alike: dict[CommonHours, tuple[str, ...]] = {}
    for name in names:
        alike[hours(name)] = (*alike.get(hours(name), ()), name)
    return alike


async def last_find(
    config: Config, database: Database, peers: Sequence[str] | None = None
) -> datetime | None:
    """Return when the find cycle began that is to count as the last one, naive UTC.

    That is the find of longest ago among the last ones at each peer. None: one is due at once, as
    a peer was never asked, or a find at it was broken off.

    Parameters
    ----------
    peers
        Whose cycle it is; None is all that are configured.
    """
    if peers is None:
        peers = [peer.name for peer in config.find_peers]
    try:
        async with database.session() as session:
            began = [
                await last_find_began(session, name, node=config.node.aetitle) for name in peers
            ]
    except SchemaError as error:
        log.warning("When the last find began is not known: %s", error)
        return None
    known = [one for one in began if one is not None]
    return min(known) if known and len(known) == len(began) else None


async def find_cycle(
    config: Config,
    database: Database,
    peers: Sequence[str] | None = None,
    *,
    turns: asyncio.Semaphore | None = None,
) -> None:
    """Ask peers for what is due; one that fails does not stop the others.

    It stops at each of them when its hours end; what is left is due in the next one.

    Parameters
    ----------
    peers
        Their names; None is all that are configured.
    turns
        What they wait for, where other cycles run at the same time.
    """
    await find_at_peers(
        config,
        database,
        [peer.name for peer in config.find_peers] if peers is None else peers,
        (),
        due=present().astimezone(),
        proceed=lambda name: config.find_hours(name).contains(present()),
        concurrency=turns or config.find.concurrency,
        watch=_log_find,
    )


async def move_cycle(
    config: Config,
    database: Database,
    taking: Intake,
    peers: Sequence[str],
    *,
    under_way: UnderWay | None = None,
) -> None:
    """Retrieve what is due from peers, all at once; stop at each when its hours end.

    Parameters
    ----------
    peers
        Their names.
    under_way
        What the daemon moves, where other cycles run at the same time.
    """
    await move_due(
        config,
        database,
        taking,
        watch=_log_move,
        proceed=lambda name: config.move_hours(name).contains(present()),
        peers=peers,
        under_way=under_way,
    )


def _log_find(told: FindBegun | FindResumed | WindowResult | FindReport | PeerTrouble) -> None:
    match told:
        case FindResumed():
            log.info("Find at %s", told)
        case FindReport(interrupted=True):
            log.info("Find at %s: interrupted after %s", told.peer, told.asked)
        case FindReport():
            counts = told.counts()
            log.info(
                "Find at %s: %s, %d new, %d changed, after %s",
                told.peer,
                counted(counts["found"], "study"),
                counts["new"],
                counts["changed"],
                told.asked,
            )
            if gaps := told.failures:
                more = f"; and {len(gaps) - _NAMED} more" if len(gaps) > _NAMED else ""
                log.warning(
                    "Find at %s: %s, and what it has there is not known: %s%s",
                    told.peer,
                    counted(len(gaps), "gap"),
                    "; ".join(f"{gap}: {gap.outcome}" for gap in gaps[:_NAMED]),
                    more,
                )
            if told.unconfirmed:
                log.warning(
                    "Find at %s: %s did not come again: whether %s still there is not known",
                    told.peer,
                    counted(told.unconfirmed, "study"),
                    "it is" if told.unconfirmed == 1 else "they are",
                )
            if told.stopped:
                log.info("Find at %s: the hours ended; what is left is due next time", told.peer)
            if told.late:
                log.warning(
                    "Find at %s: %s came late: all that it had there was known before",
                    told.peer,
                    in_words(told.late),
                )
        case PeerTrouble(error=CycleCancelled()):
            log.warning("Find at %s: %s", told.peer, told.error)
        case PeerTrouble(error=Busy()):
            log.warning("Find at %s left out this time: %s", told.peer, told.error)
        case PeerTrouble():
            log.error("Find at %s failed: %s", told.peer, told.error)


def _log_move(told: MoveBegun | MoveWaits | StudyProgress | MoveReport | PeerTrouble) -> None:
    match told:
        case MoveWaits(reason=None):
            log.info("Studies are moved from %s again", told.peer)
        case MoveWaits():
            level = logging.INFO if told.expected else logging.WARNING
            log.log(level, "No study is moved from %s at the moment: %s", told.peer, told.reason)
        case StudyProgress(result=StudyResult() as result):
            expected = "an unknown number of" if result.expected is None else result.expected
            log.info(
                "Study %s: %s, %d of %s images",
                result.study_uid,
                result.outcome,
                result.received,
                expected,
            )
        case MoveReport():
            log.info(
                "Move from %s: %s asked for, %d complete, %d not, %d left for another time%s",
                told.peer,
                counted(told.counts()["studies"], "study"),
                *(told.counts()[key] for key in ("complete", "incomplete")),
                told.left,
                f", {len(told.skipped)} left to another node" if told.skipped else "",
            )
        case PeerTrouble(error=CycleCancelled()):
            log.warning("Move from %s: %s", told.peer, told.error)
        case PeerTrouble():
            log.error("Move from %s stopped: %s", told.peer, told.error)
