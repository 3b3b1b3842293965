"""One cycle and what it did: its windows, or the studies that it moved."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from node.ops.finding.due import scope_for
from node.ops.overseeing.steering import get_cycles
from schema import AsyncSession, FindWindow, StudyFind
from schema.coverage.asked import AskedDates, asked_of
from schema.coverage.ledger import get_coverage
from schema.engine.database import Database
from schema.finding.windows import windows_of_cycle
from schema.reports import CycleSummary, studies_of_cycle
from schema.tables.columns import day_of
from schema.tables.ledger import UNFINISHED


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
    scopes = await get_coverage(session, peer=cycle.peer)
    left = []
    for one in asked:
        known = scope_for(scopes, one.keys)
        done = [
            stretch
            for stretch in (() if known is None else known.stretches)
            if stretch.is_proven or (runs and stretch.question and stretch.question.is_unended)
        ]
        of_undated = None if known is None else known.undated
        proven = of_undated is not None and (
            of_undated.covered_on is not None or (runs and of_undated.is_unended)
        )
        dates = one.left(done, until=day_of(cycle.started_on))
        rest = replace(one, dates=dates, undated=one.undated and not proven)
        if rest.dates or rest.undated:
            left.append(rest)
    return left
