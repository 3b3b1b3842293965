"""Which gaps a find leaves, once it has ended: what the ledger says of what it was to ask.

`dicom-node coverage` reads the same, so that the two never differ. Of dates that are still to come
the ledger says nothing, nor of studies that were asked for by their UID or accession number: what
was not answered there, the plan says.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta

from node.dicom.query import StudyQuery, Window
from node.ops.finding.due import scope_of
from node.ops.finding.planning.tree import Node, WindowOutcome
from node.ops.finding.proving.asked import by_keys, is_of_single_studies, ranges_of
from node.ops.finding.report import WindowResult
from schema import Database
from schema.coverage.gaps import Gap
from schema.coverage.ledger import Coverage, get_coverage
from schema.tables.columns import day_of, utcnow


async def gaps_left(
    database: Database,
    peer: str,
    queries: Sequence[StudyQuery],
    planned: Iterable[Node],
    *,
    cycle_id: int,
) -> tuple[WindowResult, ...]:
    """Return what a find has left open, the earliest dates first.

    Parameters
    ----------
    queries
        What it was to ask for.
    planned
        The gaps of its plan.
    cycle_id
        Its own: what it has not come to ask is no news to it.
    """
    async with database.session() as session:
        scopes = await get_coverage(session, peer=peer)
    found = []
    dated = (query for query in queries if not is_of_single_studies(query))
    for query, windows in by_keys(dated):
        scope = scope_of(scopes, query)
        ranges = ranges_of(windows)
        without = any(one.undated for one in windows)
        for gap in () if scope is None else _in_order(scope):
            if gap.cycle_id == cycle_id:
                continue
            if not gap.undated:
                found += [_result(query, part) for part in gap.within(ranges)]
            elif without:
                found.append(_result(query, gap))
    return (*found, *_untold(planned))


def planned_gap(node: Node) -> WindowResult:
    """Return a gap of a plan, as far as it was asked."""
    standing = node.standing
    return WindowResult(
        query=node.query,
        outcome=WindowOutcome.FAILED if standing is None else standing.outcome,
        message="not asked" if standing is None else standing.message,
    )


def _in_order(scope: Coverage) -> list[Gap]:
    """Return what is not known of a scope: what was not asked for is a gap to who was to ask."""
    dated = [gap for gap in (*scope.gaps, *scope.unasked) if not gap.undated]
    undated = [gap for gap in scope.gaps if gap.undated]
    return [*sorted(dated, key=lambda gap: gap.first or date.min), *undated]


def _result(query: StudyQuery, gap: Gap) -> WindowResult:
    window = Window(
        start=gap.first,
        end=gap.last,
        first=gap.start_time,
        last=gap.end_time,
        undated=gap.undated,
    )
    return WindowResult(
        query=replace(query, window=window), outcome=gap.outcome, message=gap.reason
    )


def _untold(planned: Iterable[Node]) -> Iterator[WindowResult]:
    """Return the gaps of a plan of which the ledger says nothing."""
    tomorrow = day_of(utcnow()) + timedelta(days=1)
    for node in planned:
        window = node.query.window
        if is_of_single_studies(node.top.query):
            yield planned_gap(node)
        elif window.start is not None and (window.end or date.max) >= tomorrow:
            start = max(window.start, tomorrow)
            query = replace(node.query, window=replace(window, start=start))
            yield replace(planned_gap(node), query=query)
