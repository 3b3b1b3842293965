"""What a find at a peer would ask: all that was said, what is not proven of it, or what is due."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from node.config import Config
from node.dicom.query import StudyQuery, Window
from node.ops.finding.due import DueDates, due_dates, expectation_of, scope_of
from node.ops.finding.planning.cutting import days_of
from node.ops.finding.planning.estimate import Estimate, PriorKnowledge, estimated
from node.ops.finding.planning.known_days import KnownDays
from node.ops.finding.repository import without_a_cap
from node.ops.probing.knowledge import effective_profile
from schema import Database
from schema.coverage.ledger import Coverage, get_coverage
from schema.finding.per_day import known_minutes, known_per_day
from schema.finding.windows import (
    cut_at,
    largest_answered,
    proven_spans,
    was_silent,
    widest_answered,
)


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
    known
        What is known of the peer before.
    per_day
        Studies of a day that earlier finds have found; None when nothing is known.
    """

    peer: str
    queries: tuple[StudyQuery, ...]
    known: PriorKnowledge
    per_day: float | None = None
    due: tuple[DueDates, ...] = ()

    def estimate(self) -> Estimate:
        """Return about how much the find would ask; a long one takes a second to be played."""
        return estimated(self.queries, self.known, per_day=self.per_day)


async def plan_at_peer(
    config: Config,
    database: Database,
    name: str,
    queries: Sequence[StudyQuery],
    *,
    only_gaps: bool = False,
    due: datetime | None = None,
    times: bool = False,
) -> FindPlan:
    """Plan a find at a peer, from what earlier finds have found; nobody is asked.

    Parameters
    ----------
    only_gaps
        Leave out the days of which it is known what the peer has.
    due
        Only what is due at this moment (aware, of this machine's time zone) of the queries; of what
        the configuration says when there are none.
    times
        Whether it is to be estimated how much it asks: then the times of studies are read.
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
        seen = KnownDays.of(await known_per_day(session, name))
        widest = await widest_answered(session, name)
        largest = await largest_answered(session, name)
        cut = await cut_at(session, name)
        silent = await was_silent(session, name)
        for query in queries:
            left += _unproven(query, _proven(scopes, query)) if only_gaps else [query]
        for keys in {tuple(sorted(query.keys().items())) for query in queries}:
            spans = [one for one in await proven_spans(session, name, dict(keys)) if one.whole]
            found += sum(span.matches or 0 for span in spans)
            days += sum((span.end - span.start).days + 1 for span in spans)
    profile = await effective_profile(config, database, name)
    if profile.repository and config.peer(name).url is None:
        profile = without_a_cap(profile)
    if config.find.undated and due is None:
        left += [one for one in _without_a_date(queries) if not only_gaps or _is_open(scopes, one)]
    above = cut or largest if profile.cap is None else profile.cap
    minutes = await _minutes(database, name, left, above) if times and above else {}
    return FindPlan(
        peer=name,
        queries=tuple(left),
        known=PriorKnowledge(
            minutes=minutes,
            profile=profile,
            axes=config.find.axes,
            widest=widest,
            cut=cut or 0,
            silent=silent,
            expected=expected,
            known=seen,
            largest=largest,
        ),
        per_day=found / days if days else None,
        due=tuple(dates),
    )


async def _minutes(
    database: Database, peer: str, queries: Iterable[StudyQuery], above: int
) -> dict[int, list[int]]:
    """Return the times of the studies of days that are cut into times, by the days' ordinals."""
    ranges = [days for query in queries if not query.keys() and (days := days_of(query))]
    if not ranges:
        return {}
    async with database.session() as session:
        found = await known_minutes(
            session,
            peer,
            above=above,
            start=date.fromordinal(min(days.first for days in ranges)),
            end=date.fromordinal(max(days.last for days in ranges)),
        )
    return {day.toordinal(): minutes for day, minutes in found.items()}


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
        if one.is_proven
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
