"""What was proven of each PACS, selected from the ledger of windows.

What a find was restricted to by keys is a scope of its own: it vouches for nothing else. A question
without such keys vouches for all scopes. Studies that were asked for by their UID or accession
number say nothing about dates, and are left out.

What a find was to ask, and has not, is a gap as well, as long as no question is about it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from schema.coverage.ages import AgePolicy
from schema.coverage.asked import get_unreached
from schema.coverage.drift import Drift
from schema.coverage.due import DueRange, expired
from schema.coverage.gaps import NOT_ASKED, Gap, gaps, unasked, undated_gaps
from schema.coverage.months import Month, months
from schema.coverage.newest import newest_questions, question_of
from schema.coverage.proof import DateQuestion, DateStretch, stretches
from schema.engine.either import either
from schema.tables.columns import day_of

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
        What is known of each date, from the first to the last that was, or was to be, asked for.
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
        wants to know all of them, but of what a find was restricted to no more than that find
        wanted. Of studies without a date nothing is said.
        """
        known = tuple(_clipped(self.stretches, first, last))
        stale = tuple(_clipped(self.stale, first, last))
        wanted = not self.query
        dated = [gap for gap in self.gaps if not gap.undated]
        dated += self.unasked if wanted else ()
        found = [part for gap in dated for part in gap.within([(first, last)])]
        if known and wanted:
            start, end = known[0].first or first, known[-1].last or last
            if start > first:
                found += _never(first, start - _DAY)
            if end < last:
                found += _never(end + _DAY, last)
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
    session: AsyncSession,
    *,
    peer: str | None = None,
    as_of: datetime | None = None,
    about: tuple[date, date] | None = None,
) -> list[Coverage]:
    """Return what is known of each PACS that was asked, by its name, the scope without keys first.

    Parameters
    ----------
    peer
        Only this PACS.
    as_of
        What is known today of this moment (naive UTC), by the questions that were put until then;
        now when None.
    about
        By the questions about any of these dates alone, both ends included: of others nothing that
        is returned is of use.
    """
    rows = await session.execute(newest_questions(peer, as_of, about))
    found: dict[tuple[str, tuple[tuple[str, str], ...]], _Rows] = defaultdict(_Rows)
    for of_peer, query, undated, *values in rows:
        asked = question_of(values)
        if asked.start is None or asked.start <= day_of(asked.asked_on):
            found[of_peer or "", _scope(query)].add(asked, undated=undated)
    for left in await get_unreached(session, peer=peer, as_of=as_of):
        of_scope = found[left.peer, _scope(left.keys)]
        for one in left.dates:
            of_scope.add(one, undated=False)
        if left.undated is not None:
            of_scope.add(left.undated, undated=True)
    return [
        rows.coverage(of_peer, dict(scope), found[of_peer, ()].proven if scope else ())
        for (of_peer, scope), rows in sorted(found.items())
        if rows
    ]


def _scope(keys: Mapping[str, object] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, str(value)) for key, value in (keys or {}).items()))


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
        undated = max(
            self._undated, key=lambda one: (one.was_put, one.asked_on, one.id), default=None
        )
        return Coverage(
            peer=peer,
            query=query,
            stretches=tuple(known),
            months=tuple(months(known)),
            gaps=(*gaps(known, self._parts), *undated_gaps(undated, self._undated_parts)),
            undated=undated if undated is not None and undated.was_put else None,
            unasked=tuple(unasked(known)),
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
