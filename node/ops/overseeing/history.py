"""One cycle and what it did: its windows, or the studies that it moved."""

from collections.abc import Sequence
from dataclasses import dataclass

from node.ops.overseeing.steering import get_cycles
from schema import FindWindow, StudyFind
from schema.engine.database import Database
from schema.reports import CycleSummary, studies_of_cycle, windows_of_cycle


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
    """

    cycle: CycleSummary
    windows: Sequence[FindWindow] = ()
    studies: Sequence[StudyFind] = ()
    left_out: int = 0


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
            windows, count = await windows_of_cycle(session, cycle, limit=limit)
            return CycleHistory(cycle=cycle, windows=windows, left_out=count - len(windows))
        if cycle.kind != "move":
            return CycleHistory(cycle=cycle)
        studies, count = await studies_of_cycle(session, cycle, limit=limit)
        return CycleHistory(cycle=cycle, studies=studies, left_out=count - len(studies))
