"""The cycles that the daemon runs by itself: find and move, each on its schedule.

What goes wrong at a peer, on the disk or in the database is logged and tried again in the
next cycle. Anything else is a mistake in the node, and stops it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta

from node.config import Config, FindSettings
from node.daemon.schedule import Schedule
from node.dicom.query import StudyQuery, Window
from node.errors import NodeError
from node.ops.finding.find import find
from node.ops.moving.report import StudyProgress
from node.ops.moving.retrieval import retrieve, studies_to_move
from node.ops.peers import peer_of
from schema import Database, SchemaError

log = logging.getLogger(__name__)


async def run_on_schedule(
    name: str, schedule: Schedule, cycle: Callable[[], Awaitable[None]]
) -> None:
    """Run a cycle when it is due, for ever."""
    last: datetime | None = None
    while True:
        now = datetime.now(UTC)
        due = schedule.next(last, now)
        if due > now:
            log.info(
                "The next %s cycle begins at %s", name, f"{due.astimezone():%Y-%m-%d %H:%M:%S}"
            )
            # the wall clock may jump: look at it again before long
            while (wait := (due - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(min(wait, 60.0))
        last = datetime.now(UTC)
        try:
            await cycle()
        except (NodeError, SchemaError) as error:
            _raise_if_cancelled(error)
            log.error("The %s cycle failed: %s", name, error)  # noqa: TRY400


def _raise_if_cancelled(error: Exception) -> None:
    """Let a cancellation through whose clean-up failed: it must not look like a failed cycle."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


def window_of(settings: FindSettings, today: date) -> Window:
    """Return the study dates that a find cycle asks for."""
    start = settings.start_date or today - timedelta(days=settings.lookback // 86400)
    return Window(start=start, end=settings.end_date or today)


async def find_cycle(config: Config, database: Database) -> None:
    """Ask every configured peer once; one that fails does not stop the others."""
    window = window_of(config.find, datetime.now().astimezone().date())
    for settings in config.find_peers:
        for modality in config.find.modality or ("",):
            try:
                report = await find(
                    database,
                    peer_of(settings),
                    StudyQuery(window=window, modality=modality),
                    node=config.node.aetitle,
                )
            except NodeError as error:
                _raise_if_cancelled(error)
                log.error("Find at %s failed: %s", settings.name, error)  # noqa: TRY400
                continue
            counts = report.counts()
            log.info(
                "Find at %s: %d studies, %d new, %d changed, %d of %d windows failed",
                settings.name,
                *(counts[key] for key in ("found", "new", "changed", "failed_windows", "windows")),
            )


async def move_cycle(config: Config, database: Database) -> None:
    """Retrieve what is due from every configured peer; stop when the hours end."""
    hours = config.move.hours

    def open_now() -> bool:
        return hours is None or hours.contains(datetime.now(UTC))

    for settings in config.move_peers:
        studies = await studies_to_move(
            database, peer=settings.name, limit=config.move.limit, only_due=True
        )
        if not studies or not open_now():
            continue
        try:
            report = await retrieve(
                config, database, settings.name, studies, watch=_log_result, proceed=open_now
            )
        except NodeError as error:
            _raise_if_cancelled(error)
            log.error("Move from %s stopped: %s", settings.name, error)  # noqa: TRY400
            continue
        log.info(
            "Move from %s: %d studies asked for, %d complete, %d not, %d left for another time",
            settings.name,
            len(report.results),
            len(report.results) - len(report.incomplete),
            len(report.incomplete),
            len(studies) - len(report.results),
        )


def _log_result(progress: StudyProgress) -> None:
    if (result := progress.result) is not None:
        expected = "an unknown number of" if result.expected is None else result.expected
        log.info(
            "Study %s: %s, %d of %s images",
            result.study_uid,
            result.outcome,
            result.received,
            expected,
        )
