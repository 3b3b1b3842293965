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
from node.ops.finding.report import WindowResult
from schema import Database
from schema.coverage.gaps import Gap
from schema.coverage.ledger import OF_SINGLE_STUDIES, get_coverage
from schema.tables.columns import day_of, utcnow


async def gaps_left(
    database: Database,
    peer: str,
    queries: Sequence[StudyQuery],
    planned: Iterable[Node],
) -> tuple[WindowResult, ...]:
    """Return what a find has left open, the earliest dates first.

    Parameters
    ----------
    queries
        What it was to ask for.
    planned
        The gaps of its plan.
    """
    async with database.session() as session:
        scopes = await get_coverage(session, peer=peer)
    found = []
    dated = (query for query in queries if not _is_of_single_studies(query))
    for query, windows in _by_keys(dated):
        scope = scope_of(scopes, query)
        ranges = _ranges(windows)
        without = any(one.undated for one in windows)
        for gap in () if scope is None else scope.gaps:
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


def _by_keys(queries: Iterable[StudyQuery]) -> Iterator[tuple[StudyQuery, list[Window]]]:
    """Yield each combination of keys that was asked for, and with which windows."""
    found: dict[StudyQuery, list[Window]] = {}
    for query in queries:
        found.setdefault(replace(query, window=Window()), []).append(query.window)
    yield from found.items()


def _ranges(windows: Iterable[Window]) -> list[tuple[date, date]]:
    """Return the ranges of dates that windows come to, those side by side as one."""
    ranges: list[tuple[date, date]] = []
    dated = [(one.start or date.min, one.end or date.max) for one in windows if not one.undated]
    for first, last in sorted(dated):
        if ranges and first.toordinal() <= ranges[-1][1].toordinal() + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


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


def _is_of_single_studies(query: StudyQuery) -> bool:
    return any(keyword in OF_SINGLE_STUDIES for keyword in query.keys())  # noqa: SIM118 - a method


def _untold(planned: Iterable[Node]) -> Iterator[WindowResult]:
    """Return the gaps of a plan of which the ledger says nothing."""
    tomorrow = day_of(utcnow()) + timedelta(days=1)
    for node in planned:
        window = node.query.window
        if _is_of_single_studies(node.top.query):
            yield planned_gap(node)
        elif window.start is not None and (window.end or date.max) >= tomorrow:
            start = max(window.start, tomorrow)
            query = replace(node.query, window=replace(window, start=start))
            yield replace(planned_gap(node), query=query)
