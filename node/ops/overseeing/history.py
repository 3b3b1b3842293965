"""One cycle and what it did: its windows, or the studies that it moved."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from node.ops.finding.due import scope_for
from node.ops.finding.planning.tree import WindowOutcome
from node.ops.overseeing.steering import get_cycles
from schema import AsyncSession, FindWindow, StudyFind
from schema.coverage.asked import AskedDates, asked_of
from schema.coverage.ledger import get_coverage
from schema.coverage.proof import DateStretch
from schema.engine.database import Database
from schema.finding.windows import AskedWindow, interrupted_windows, windows_of_cycle
from schema.reports import CycleSummary, studies_of_cycle
from schema.tables.columns import day_of
from schema.tables.ledger import UNFINISHED

_ALL = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleHistory:
    """A cycle and what it did.

    Attributes
    ----------
    windows
        What a find asked, that first which is not proven.
    studies
        Those of the peer of which something was recorded while a move ran, as they are now.
    left_out
        How many there are beside these.
    asked, left
        What a find of dates was to cover, and what of that nothing proves by now; while it runs,
        what it has not asked yet, or not with success. None where it is not known.
    """

    cycle: CycleSummary
    windows: Sequence[FindWindow] = ()
    studies: Sequence[StudyFind] = ()
    left_out: int = 0
    asked: Sequence[AskedDates] | None = None
    left: Sequence[AskedDates] | None = None


async def history_of(database: Database, id: int, *, limit: int) -> CycleHistory:  # noqa: A002
    """Return a cycle and what it did.

    Parameters
    ----------
    limit
        At most so many windows or studies.

    Raises
    ------
    UsageError
        There is no such cycle.
    """
    (cycle,) = await get_cycles(database, [id])
    async with database.session() as session:
        if cycle.kind == "find":
            windows, count = await windows_of_cycle(session, cycle.id, limit=limit)
            asked = asked_of(cycle.asked)
            return CycleHistory(
                cycle=cycle,
                windows=windows,
                left_out=count - len(windows),
                asked=asked,
                left=None if asked is None else await _left(session, cycle, asked),
            )
        if cycle.kind != "move":
            return CycleHistory(cycle=cycle)
        studies, count = await studies_of_cycle(session, cycle, limit=limit)
        return CycleHistory(cycle=cycle, studies=studies, left_out=count - len(studies))


async def _left(
    session: AsyncSession, cycle: CycleSummary, asked: Sequence[AskedDates]
) -> list[AskedDates]:
    """Return what is left of what a find was to cover."""
    runs = cycle.outcome in UNFINISHED
    answered = await _answered(session, cycle) if runs else ()
    scopes = await get_coverage(session, peer=cycle.peer)
    left = []
    for one in asked:
        if runs:  # what earlier ones have proven it asks for anew
            of_keys = [window for window in answered if (window.query or {}) == one.keys]
            done = [_stretch(window) for window in of_keys if not window.undated]
            undated = any(window.undated for window in of_keys)
        else:
            known = scope_for(scopes, one.keys)
            done = [] if known is None else [part for part in known.stretches if part.is_proven]
            of_undated = None if known is None else known.undated
            undated = of_undated is not None and of_undated.covered_on is not None
        dates = one.left(done, until=day_of(cycle.started_on))
        rest = replace(one, dates=dates, undated=one.undated and not undated)
        if rest.dates or rest.undated:
            left.append(rest)
    return left


async def _answered(session: AsyncSession, cycle: CycleSummary) -> list[FindWindow | AskedWindow]:
    """Return the dates of which a running find has an answer, or the one that it goes on with."""
    own, _ = await windows_of_cycle(session, cycle.id, limit=_ALL)
    before = await interrupted_windows(session, cycle.peer or "", but=cycle.id)
    windows: list[FindWindow | AskedWindow] = [*own, *before]
    whole = [
        one
        for one in windows
        if one.outcome == WindowOutcome.COMPLETE and one.start_time is None and not one.axes
    ]
    return sorted(whole, key=lambda one: one.start_date or date.min)


def _stretch(window: FindWindow | AskedWindow) -> DateStretch:
    return DateStretch(first=window.start_date, last=window.end_date, question=None, proven_on=None)
