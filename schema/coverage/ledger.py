"""What was proven of each PACS, selected from the ledger of windows.

What a find was restricted to by keys is a scope of its own: it vouches for nothing else. A question
without such keys vouches for all scopes. Studies that were asked for by their UID or accession
number say nothing about dates, and are left out.

A question says nothing of dates that were still to come when it was put: what the PACS has of a day
is known when the day has come.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar

from sqlalchemy import CTE, ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from schema.coverage.ages import AgePolicy
from schema.coverage.drift import Drift
from schema.coverage.due import DueRange, expired
from schema.coverage.gaps import NOT_ASKED, Gap, gaps, unasked, undated_gaps
from schema.coverage.months import Month, months
from schema.coverage.proof import DateQuestion, DateStretch, SettledDates, stretches
from schema.engine.either import either
from schema.finding.past import ENDED
from schema.tables.columns import day_of
from schema.tables.ledger import Cycle, FindWindow

OF_SINGLE_STUDIES = ("StudyInstanceUID", "AccessionNumber")
"""Keys by which single studies are asked for: nothing follows for their dates."""

SETTLED = timedelta(days=2)
"""How long after the beginning of a date its studies are expected to be in the PACS."""

_DAY = timedelta(days=1)

Dated = TypeVar("Dated", DateStretch, DueRange)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What is known of a PACS, for one scope.

    Attributes
    ----------
    peer
        Its configured name.
    query
        What the finds were restricted to, by DICOM keyword; empty where they were not.
    stretches
        What is known of each date, from the first to the last that was asked for.
    months, gaps
        The same as a calendar, and what cannot be said.
    undated
        The newest question about all studies without a date; None when there was none.
    unasked
        The dates between others that were never asked for.
    stale
        The dates whose proof has expired, where a policy was asked.
    """

    peer: str
    query: Mapping[str, str]
    stretches: tuple[DateStretch, ...]
    months: tuple[Month, ...]
    gaps: tuple[Gap, ...]
    undated: DateQuestion | None
    unasked: tuple[Gap, ...] = ()
    stale: tuple[DueRange, ...] = ()

    @property
    def proven_on(self) -> datetime | None:
        """The oldest proof among the dates that are proven, naive UTC; None without any."""
        proofs = (one.proven_on for one in self.stretches if one.is_proven)
        return min((proof for proof in proofs if proof is not None), default=None)

    def aged(self, policy: AgePolicy, *, now: datetime, drifts: Sequence[Drift] = ()) -> "Coverage":
        """Return the same with what has expired by a policy; parameters as `due.expired`."""
        stale = expired(self.stretches, policy, now=now, drifts=drifts)
        return replace(self, stale=tuple(stale), months=tuple(months(self.stretches, stale)))

    def within(self, first: date, last: date) -> "Coverage":
        """Return what is known of a range of dates alone, both ends included.

        Where any of them was asked for, those that never were are gaps as well: who names dates
        wants to know all of them. Of studies without a date nothing is said.
        """
        known = tuple(_clipped(self.stretches, first, last))
        stale = tuple(_clipped(self.stale, first, last))
        dated = [gap for gap in (*self.gaps, *self.unasked) if not gap.undated]
        found = [part for gap in dated for part in gap.within([(first, last)])]
        if known:
            start, end = known[0].first or first, known[-1].last or last
            found += [*_never(first, start - _DAY), *_never(end + _DAY, last)]
            found.sort(key=lambda gap: (gap.first or first, gap.start_time or time.min))
        return replace(
            self,
            stretches=known,
            months=tuple(months(known, stale)),
            gaps=tuple(found),
            undated=None,
            unasked=(),
            stale=stale,
        )


@either
async def get_coverage(
    session: AsyncSession, *, peer: str | None = None, as_of: datetime | None = None
) -> list[Coverage]:
    """Return what is known of each PACS that was asked, by its name, the scope without keys first.

    Parameters
    ----------
    peer
        Only this PACS.
    as_of
        What is known today of this moment (naive UTC), by the questions that were put until then;
        now when None.
    """
    rows = await session.execute(_newest(peer, as_of))
    found: dict[tuple[str, tuple[tuple[str, str], ...]], _Rows] = defaultdict(_Rows)
    for of_peer, query, undated, *values in rows:
        scope = tuple(sorted((str(key), str(value)) for key, value in (query or {}).items()))
        asked = _asked(values)
        if asked.start is None or asked.start <= day_of(asked.asked_on):
            found[of_peer or "", scope].add(asked, undated=undated)
    return [
        rows.coverage(of_peer, dict(scope), found[of_peer, ()].proven if scope else ())
        for (of_peer, scope), rows in sorted(found.items())
        if rows
    ]


def _clipped(ranges: Iterable[Dated], first: date, last: date) -> Iterator[Dated]:
    """Yield the parts of ranges of dates that lie in another one."""
    for one in ranges:
        ends: tuple[date | None, date | None] = (one.first, one.last)
        start, end = max(ends[0] or first, first), min(ends[1] or last, last)
        if start <= end:
            yield replace(one, first=start, last=end)


def _never(first: date, last: date) -> list[Gap]:
    """Return dates that no question was about as a gap, if there are any."""
    return [Gap(first=first, last=last, outcome=NOT_ASKED, questions=0)] if first <= last else []


class _Rows:
    """The questions about one scope of one PACS."""

    def __init__(self) -> None:
        self._whole: list[DateQuestion] = []
        self._parts: list[DateQuestion] = []
        self._undated: list[DateQuestion] = []
        self._undated_parts: list[DateQuestion] = []

    def __bool__(self) -> bool:
        return bool(self._whole or self._parts or self._undated or self._undated_parts)

    def add(self, asked: DateQuestion, *, undated: bool) -> None:
        """Put a question where it belongs."""
        part = asked.start_time is not None or asked.end_time is not None or bool(asked.axes)
        if undated:
            (self._undated_parts if part else self._undated).append(asked)
        else:
            (self._parts if part else self._whole).append(asked)

    @property
    def proven(self) -> list[DateQuestion]:
        """Those about dates that are proven."""
        return [asked for asked in self._whole if asked.covered_on is not None]

    def coverage(
        self, peer: str, query: Mapping[str, str], of_all: Sequence[DateQuestion]
    ) -> Coverage:
        """Return what they come to, beside those without any keys that are proven."""
        known = stretches(_beside(self._whole, of_all))
        undated = max(self._undated, key=lambda one: (one.asked_on, one.id), default=None)
        return Coverage(
            peer=peer,
            query=query,
            stretches=tuple(known),
            months=tuple(months(known)),
            gaps=(*gaps(known, self._parts), *undated_gaps(undated, self._undated_parts)),
            undated=undated,
            unasked=tuple(unasked(known)),
        )


def _newest(peer: str | None, as_of: datetime | None) -> Select[Any]:
    """Select of each window its newest question; of parts of a day only what is not proven."""
    window = FindWindow
    wanted: list[ColumnElement[bool]] = [window.peer.is_not(None), window.level == "STUDY"]
    wanted += [window.query[key].as_string().is_(None) for key in OF_SINGLE_STUDIES]
    if peer is not None:
        wanted.append(window.peer == peer)
    covered: ColumnElement[datetime | None] = window.covered_on.expression
    later = _proven_later(as_of) if as_of is not None else None
    if as_of is not None and later is not None:
        wanted.append(window.asked_on <= as_of)
        covered = case((and_(covered <= as_of, later.c.id.is_(None)), covered))
    box = (
        window.peer,
        window.query,
        window.start_date,
        window.end_date,
        window.undated,
        window.start_time,
        window.end_time,
        window.axes,
    )
    # of a find that has not ended it is not known yet what it proves: then the one before speaks
    unended = and_(window.outcome == "complete", window.covered_on.is_(None))
    order = (unended, window.asked_on.desc(), window.id.desc())
    # what was found before a find had ended is what it found
    sealed = case((Cycle.id.is_(None), window.asked_on), else_=Cycle.finished_on)
    known_on = case((covered.is_not(None), sealed))
    settled = case((sealed.is_not(None), covered))
    ranked_rows = select(
        window.peer,
        window.query,
        window.undated,
        window.id,
        window.start_date,
        window.end_date,
        window.start_time,
        window.end_time,
        window.axes,
        window.asked_on,
        covered.label("covered"),
        func.max(covered).over(partition_by=box).label("proven"),
        func.min(settled).over(partition_by=box).label("first_settled"),
        func.max(settled).over(partition_by=box).label("last_settled"),
        func.min(known_on).over(partition_by=box).label("first_known"),
        func.max(known_on).over(partition_by=box).label("last_known"),
        or_(Cycle.id.is_(None), Cycle.outcome.in_(ENDED)).label("ended"),
        window.outcome,
        window.status,
        window.comment,
        window.message,
        func.row_number().over(partition_by=box, order_by=order).label("nth"),
    )
    ranked_rows = ranked_rows.outerjoin(Cycle, Cycle.id == window.cycle_id).where(*wanted)
    if later is not None:
        ranked_rows = ranked_rows.outerjoin(later, later.c.id == window.id)
    ranked = ranked_rows.subquery()
    split = _split(as_of).subquery()
    whole = and_(
        ranked.c.start_time.is_(None), ranked.c.end_time.is_(None), ranked.c.axes.is_(None)
    )
    # further keys bring what they can of a window, and prove nothing: it is the window that is open
    open_part = and_(ranked.c.covered.is_(None), split.c.id.is_(None), ranked.c.axes.is_(None))
    return (
        select(*(column for column in ranked.c if column.key != "nth"))
        # joined, and not looked for in a list, which PostgreSQL may read once for each row
        .outerjoin(split, split.c.id == ranked.c.id)
        .where(ranked.c.nth == 1, or_(whole, open_part))
    )


def _split(as_of: datetime | None) -> Select[Any]:
    """Select which windows have parts by dates or times, those that were asked until then."""
    window = FindWindow
    of_part = and_(window.parent_id.is_not(None), window.axes.is_(None))
    parents = select(window.parent_id.label("id")).where(of_part).distinct()
    return parents if as_of is None else parents.where(window.asked_on <= as_of)


def _proven_later(as_of: datetime) -> CTE:
    """Select what was split into something that was asked after a moment."""
    window, above = FindWindow, aliased(FindWindow)
    parents = (
        select(window.parent_id.label("id"))
        .where(window.asked_on > as_of, window.parent_id.is_not(None))
        .cte("proven_later", recursive=True)
    )
    return parents.union(
        select(above.parent_id).where(above.id == parents.c.id, above.parent_id.is_not(None))
    )


def _asked(values: Sequence[Any]) -> DateQuestion:
    id_, start, end, start_time, end_time, axes, asked_on, covered, proven, *more = values
    first, last, first_known, last_known, ended, outcome, status, comment, message = more
    end = None if end is None else min(end, day_of(asked_on))
    return DateQuestion(
        id=id_,
        start=start,
        end=end,
        start_time=start_time,
        end_time=end_time,
        axes=axes,
        asked_on=asked_on,
        covered_on=covered,
        proven_on=proven,
        settled=_settled(end, (first, first_known), (last, last_known)),
        ended=bool(ended),
        outcome=outcome,
        status=status,
        comment=comment,
        message=message,
    )


def _settled(
    end: date | None, *finds: tuple[datetime | None, datetime | None]
) -> tuple[SettledDates, ...]:
    """Return which dates of a window were proven once all their studies were to be there.

    Parameters
    ----------
    end
        The last date of the window.
    finds
        As of when finds proved it, and when they had ended.
    """
    return tuple(
        SettledDates(until=min(end or date.max, (proof - SETTLED).date()), on=known)
        for proof, known in finds
        if proof is not None and known is not None
    )


def _beside(own: Sequence[DateQuestion], of_all: Sequence[DateQuestion]) -> list[DateQuestion]:
    """Return a scope's own questions, and what those about everything say of the same dates."""
    if not own or not of_all:
        return list(own)
    first = min(one.start or date.min for one in own)
    last = max(one.end or date.max for one in own)
    return [
        *own,
        *(
            replace(one, start=max(start, first), end=min(end, last))
            for one in of_all
            if (start := one.start or date.min) <= last and (end := one.end or date.max) >= first
        ),
    ]
