"""Which dates of a PACS are proven, and as of when: from the questions that it was asked.

Pure: values in, values out.

1. The newest question about a date speaks for it. Where that one is proven, the date is; where it
   is not, the date is a gap, though an older question may have proven it: since then the PACS has
   not said all that it has.
2. A date that no question was about was never asked for, between others as well as outside of them.
   That is no gap: nobody wanted to know. It is no proof either.
3. A question that a find was to put, and has not, speaks where no other does: such a date is a gap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import groupby

_FIRST, _LAST = date.min.toordinal(), date.max.toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledDates:
    """The dates of a question that a find proved when all their studies were expected to be there.

    Attributes
    ----------
    until
        The last of them.
    on
        When that find had ended, naive UTC: what was found since came late.
    """

    until: date
    on: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DateQuestion:
    """A question about dates, or about the studies without one, and what became of it.

    Attributes
    ----------
    start, end
        The range of study dates, both included; None is open.
    start_time, end_time
        The times within its one day; None is all day.
    axes
        Further keys, by which it was split from a question; None when there are none.
    asked_on, covered_on
        When it was asked, and as of when all that it is about is proven; None when it is not.
        Naive UTC.
    proven_on
        As of when the same was proven last, by this question or by one before it.
    settled
        Which of its dates were settled when, by the first find that proved it and by the last.
    ended
        Whether the find that asked it last came to its end.
    cycle_id
        Of one that was not put: of the find that was to; None of any other.
    status, comment, message
        The last DIMSE status, the PACS's words to it, and ours.
    """

    id: int
    start: date | None
    end: date | None
    start_time: time | None = None
    end_time: time | None = None
    axes: Mapping[str, str] | None = None
    asked_on: datetime
    covered_on: datetime | None = None
    proven_on: datetime | None = None
    settled: tuple[SettledDates, ...] = ()
    ended: bool = True
    outcome: str
    status: int | None = None
    comment: str | None = None
    message: str | None = None
    cycle_id: int | None = None

    @property
    def was_put(self) -> bool:
        """Whether the PACS was asked; else a find was to ask, and has not come so far."""
        return self.cycle_id is None

    @property
    def is_unended(self) -> bool:
        """Whether nothing speaks against it, and its find has not come to its end."""
        return self.outcome == "complete" and self.covered_on is None


@dataclass(frozen=True, slots=True, kw_only=True)
class DateStretch:
    """Consecutive dates of which the same is known.

    Attributes
    ----------
    first, last
        Both included; None is open.
    question
        The newest about them; None when there is none.
    proven_on
        As of when they were proven last, naive UTC; None when they never were.
    settled_on
        Since when a study that is found there has come late, naive UTC; None: none has.
    """

    first: date | None
    last: date | None
    question: DateQuestion | None
    proven_on: datetime | None
    settled_on: datetime | None = None

    @property
    def is_gap(self) -> bool:
        """Whether somebody wants to know what the PACS has there, and it cannot be said."""
        return self.question is not None and self.question.covered_on is None

    @property
    def is_proven(self) -> bool:
        """Whether it is known what the PACS has there."""
        return self.question is not None and self.question.covered_on is not None


def stretches(questions: Iterable[DateQuestion]) -> list[DateStretch]:
    """Return what is known of each date, from the first to the last that was asked for."""
    asked = list(questions)
    newest = sorted(
        asked,
        key=lambda one: (one.was_put, not one.is_unended, one.asked_on, one.id),
        reverse=True,
    )
    dated = [(one.proven_on, one.id, one) for one in asked if one.proven_on is not None]
    proofs = [one for *_, one in sorted(dated, key=lambda proof: proof[:2], reverse=True)]
    # of those that settle a date the earliest counts
    settlers = sorted(
        (
            (settled.on, replace(one, end=min(settled.until, one.end or date.max)))
            for one in asked
            for settled in one.settled
            if one.start is None or settled.until >= one.start
        ),
        key=lambda settler: settler[0],
    )
    settling = [one for _, one in settlers]
    moments = {id(one): on for on, one in settlers}
    bounds = sorted({bound for one in (*asked, *settling) for bound in _range(one)})
    places = {bound: place for place, bound in enumerate(bounds)}
    speakers = _painted(newest, places)
    proven = _painted(proofs, places)
    settled = [one and moments[id(one)] for one in _painted(settling, places)]
    pieces = zip(bounds, bounds[1:], speakers, proven, settled, strict=False)
    found = []
    for (speaker, proof, settled_on), group in groupby(pieces, key=lambda piece: piece[2:]):
        same = list(group)
        found.append(
            DateStretch(
                first=_date(same[0][0], _FIRST),
                last=_date(same[-1][1] - 1, _LAST),
                question=speaker,
                proven_on=None if proof is None else proof.proven_on,
                settled_on=settled_on,
            )
        )
    return found


def _range(one: DateQuestion) -> tuple[int, int]:
    """Return the first day and the one after the last, as ordinals."""
    first = _FIRST if one.start is None else one.start.toordinal()
    last = _LAST if one.end is None else one.end.toordinal()
    return first, max(first, last) + 1


def _date(ordinal: int, open_end: int) -> date | None:
    return None if ordinal == open_end else date.fromordinal(ordinal)


def _painted(
    questions: Sequence[DateQuestion], places: Mapping[int, int]
) -> list[DateQuestion | None]:
    """Return for each piece between two bounds the first of the questions that is about it."""
    colours: list[DateQuestion | None] = [None] * len(places)
    free = list(range(len(places) + 1))  # from a piece to the next one without a colour

    def next_free(place: int) -> int:
        root = place
        while free[root] != root:
            root = free[root]
        while free[place] != root:
            free[place], place = root, free[place]
        return root

    for one in questions:
        first, end = _range(one)
        place, last = next_free(places[first]), places[end]
        while place < last:
            colours[place] = one
            free[place] = place + 1
            place = next_free(place)
    return colours[:-1]
