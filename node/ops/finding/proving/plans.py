"""What a find at a peer would ask: all that was said, what is not proven of it, or what is due."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from node.config import Config
from node.dicom.profile import CapKind
from node.dicom.query import StudyQuery, Window
from node.ops.finding.due import DueDates, due_dates, expectation_of, scope_of
from node.ops.finding.planning.estimate import Estimate, estimated
from node.ops.finding.planning.expecting import Expectation
from node.ops.probing.knowledge import effective_profile
from schema import Database
from schema.coverage.ledger import Coverage, get_coverage
from schema.finding.windows import cut_at, proven_spans, widest_answered


@dataclass(frozen=True, slots=True, kw_only=True)
class FindPlan:
    """What a peer would be asked.

    Attributes
    ----------
    queries
        The ranges of dates, and the studies without a date, with their keys; none when everything
        is proven.
    due
        Why each of them is due, where that was asked for.
    expected
        The studies that earlier finds have found.
    """

    queries: tuple[StudyQuery, ...]
    estimate: Estimate
    due: tuple[DueDates, ...] = ()
    expected: Expectation | None = None


async def plan_at_peer(
    config: Config,
    database: Database,
    name: str,
    queries: Sequence[StudyQuery],
    *,
    only_gaps: bool = False,
    due: datetime | None = None,
) -> FindPlan:
    """Plan a find at a peer, from what earlier finds have found; nobody is asked.

    Parameters
    ----------
    only_gaps
        Leave out the days of which it is known what the peer has.
    due
        Only what is due at this moment (aware, of this machine's time zone) of the queries; of what
        the configuration says when there are none.
    """
    found = days = 0
    left: list[StudyQuery] = []
    dates: list[DueDates] = []
    async with database.session() as session:
        scopes = await get_coverage(session, peer=name)
        if due is not None:
            dates = await due_dates(session, config.find, name, scopes, queries=queries, now=due)
            queries = [one.query for one in dates]
        expected = await expectation_of(session, name, scopes, queries)
        widest = await widest_answered(session, name)
        cut = await cut_at(session, name)
        for query in queries:
            left += _unproven(query, _proven(scopes, query)) if only_gaps else [query]
        for keys in {tuple(sorted(query.keys().items())) for query in queries}:
            spans = await proven_spans(session, name, dict(keys))
            found += sum(span.matches or 0 for span in spans)
            days += sum((span.end - span.start).days + 1 for span in spans)
    profile = await effective_profile(config, database, name)
    if profile.cap is None and cut:
        profile = replace(profile, cap=cut, cap_kind=CapKind.CUT)
    if config.find.undated and due is None:
        left += [one for one in _without_a_date(queries) if not only_gaps or _is_open(scopes, one)]
    estimate = estimated(
        name,
        left,
        profile,
        per_day=found / days if days else None,
        axes=config.find.axes,
        widest=widest,
        expected=expected,
    )
    return FindPlan(
        queries=tuple(left),
        estimate=estimate,
        due=tuple(dates),
        expected=expected,
    )


def _without_a_date(queries: Iterable[StudyQuery]) -> list[StudyQuery]:
    """Return the questions for the studies without a date, one for each combination of keys."""
    without = Window(undated=True)
    return list(dict.fromkeys(replace(query, window=without) for query in queries))


def _is_open(scopes: Sequence[Coverage], query: StudyQuery) -> bool:
    """Tell whether it is not known which studies without a date a peer has."""
    known = scope_of(scopes, query)
    if known is None or known.undated is None:
        return True
    return any(gap.undated for gap in known.gaps)


def _proven(scopes: Sequence[Coverage], query: StudyQuery) -> list[Window]:
    """Return the ranges of dates of which it is known what a peer has, the earliest first."""
    known = scope_of(scopes, query)
    if known is None:
        return []
    return [
        Window(start=one.first or date.min, end=one.last or date.max)
        for one in known.stretches
        if not one.is_gap
    ]


def _unproven(query: StudyQuery, proven: Sequence[Window]) -> list[StudyQuery]:
    """Return a query over the ranges of its dates that are not proven."""
    window = query.window
    if window.start is None or window.end is None:
        return [query]
    left = []
    day = window.start
    for span in proven:
        first, last = span.start or date.min, span.end or date.max
        if last < day or first > window.end:
            continue
        if first > day:
            left.append(replace(query, window=Window(start=day, end=first - timedelta(days=1))))
        if last >= window.end:
            return left
        day = last + timedelta(days=1)
    return [*left, replace(query, window=Window(start=day, end=window.end))]
