"""What cannot be said of a PACS, and why: from what is known of each date.

Pure. A day that was split into times, or by further keys, is a gap in those of its parts that are
not proven.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import groupby

from schema.coverage.proof import DateQuestion, DateStretch

_END_OF_DAY = time(23, 59, 59)

NOT_ASKED = "not asked"
"""The outcome of dates that no question was about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Dates, or times within a day, of which it cannot be said what the PACS has, and why.

    Attributes
    ----------
    first, last, start_time, end_time, axes
        As a question has them; all None where `undated`.
    undated
        Whether it is the studies without a date.
    outcome
        How the newest question ended; `not asked` when there is none.
    questions
        How many of them ended so, side by side.
    asked_on
        When the newest of them was asked.
    proven_on
        As of when it was proven before; None when it never was.
    cycle_id
        Where there is none: the find that was to ask, if one was.
    ended
        Whether the find that asked has come to its end.
    """

    first: date | None = None
    last: date | None = None
    start_time: time | None = None
    end_time: time | None = None
    axes: Mapping[str, str] | None = None
    undated: bool = False
    outcome: str
    status: int | None = None
    comment: str | None = None
    message: str | None = None
    questions: int = 1
    asked_on: datetime | None = None
    proven_on: datetime | None = None
    cycle_id: int | None = None
    ended: bool = True

    @property
    def reason(self) -> str:
        """Why it is one, with the PACS's own words where it has said some; empty if not known."""
        if self.outcome == NOT_ASKED:
            return self.message or "no question was about it"
        said = self.comment if self.comment and self.comment not in (self.message or "") else None
        return ": ".join(filter(None, (self.message, said)))

    def within(self, ranges: Iterable[tuple[date, date]]) -> Iterator["Gap"]:
        """Yield the parts of it that lie in ranges of dates, both ends of each included."""
        for first, last in ranges:
            starts = first <= (self.first or date.min)
            ends = last >= (self.last or date.max)
            if first <= (self.last or date.max) and last >= (self.first or date.min):
                yield replace(
                    self, first=self.first if starts else first, last=self.last if ends else last
                )


def gaps(known: Sequence[DateStretch], parts: Sequence[DateQuestion] = ()) -> list[Gap]:
    """Return the gaps, those side by side for the same reason as one.

    Parameters
    ----------
    known
        As `stretches` returns them.
    parts
        Questions about times of a day, or with further keys, that are not proven: they stand in
        the place of the day that they are parts of.
    """
    ordered = sorted(parts, key=lambda part: (part.start or date.min, part.start_time or time.max))
    found: list[Gap] = []
    place = 0
    for stretch in known:
        first, last = stretch.first or date.min, stretch.last or date.max
        while place < len(ordered) and (ordered[place].start or date.min) < first:
            place += 1
        inside = []
        while place < len(ordered) and (ordered[place].start or date.min) <= last:
            inside.append(ordered[place])
            place += 1
        if stretch.is_gap and stretch.question is not None:
            found += _gaps_of(stretch, stretch.question, inside)
    return _joined(_days(found))


def unasked(known: Sequence[DateStretch]) -> list[Gap]:
    """Return the dates between others that no question was about.

    They are gaps to who was to ask for them, and to nobody else.
    """
    return [
        Gap(first=one.first, last=one.last, outcome=NOT_ASKED, questions=0)
        for one in known
        if one.question is None
    ]


def undated_gaps(question: DateQuestion | None, parts: Sequence[DateQuestion] = ()) -> list[Gap]:
    """Return the gaps among the studies without a date; none where they were never asked for.

    Parameters
    ----------
    question
        The newest about all of them, or one that was to be put.
    """
    if question is None:
        return []
    stretch = DateStretch(first=None, last=None, question=question, proven_on=question.proven_on)
    if not stretch.is_gap:
        return []
    return [replace(gap, undated=True) for gap in _gaps_of(stretch, question, parts)]


def _gaps_of(
    stretch: DateStretch, question: DateQuestion, parts: Sequence[DateQuestion]
) -> list[Gap]:
    """Return a stretch as a gap, and days of it in parts that are not proven since it was asked."""
    found = []
    first, ends = stretch.first, False
    since = [part for part in parts if part.asked_on >= question.asked_on]
    for (start, end), of_day in groupby(since, key=lambda part: (part.start, part.end)):
        if start is not None and start not in (first, date.min):
            before = start - timedelta(days=1)
            found.append(_gap(question, first, before, stretch.proven_on))
        found += [_gap(part, part.start, part.end, stretch.proven_on) for part in of_day]
        ends = end in (stretch.last, None, date.max)
        first = end if end is None or ends else end + timedelta(days=1)
    if not ends:
        found.append(_gap(question, first, stretch.last, stretch.proven_on))
    return found


def _gap(
    asked: DateQuestion, first: date | None, last: date | None, proven_on: datetime | None
) -> Gap:
    return Gap(
        first=first,
        last=last,
        start_time=asked.start_time,
        end_time=asked.end_time,
        axes=asked.axes,
        outcome=asked.outcome,
        status=asked.status,
        comment=asked.comment,
        message=asked.message,
        questions=int(asked.was_put),
        asked_on=asked.asked_on if asked.was_put else None,
        proven_on=proven_on,
        cycle_id=asked.cycle_id,
        ended=asked.ended,
    )


def _days(found: Iterable[Gap]) -> Iterator[Gap]:
    """Join times of a day that lie side by side and have one reason; all of them are the day."""
    before: Gap | None = None
    for gap in found:
        if before is not None and _is_later(before, gap):
            before = replace(
                before,
                end_time=gap.end_time,
                questions=before.questions + gap.questions,
                asked_on=max(filter(None, (before.asked_on, gap.asked_on)), default=None),
            )
            continue
        if before is not None:
            yield _of_all_day(before)
        before = gap
    if before is not None:
        yield _of_all_day(before)


def _is_later(before: Gap, gap: Gap) -> bool:
    """Tell whether a gap begins where another one of the same day ends."""
    if (before.first, before.axes) != (gap.first, gap.axes) or _reason(before) != _reason(gap):
        return False
    end, start = before.end_time, gap.start_time
    return end is not None and start is not None and 0 <= _seconds(start) - _seconds(end) <= 1


def _of_all_day(gap: Gap) -> Gap:
    if gap.start_time != time.min or gap.end_time is None or gap.end_time < _END_OF_DAY:
        return gap
    return replace(gap, start_time=None, end_time=None)


def _seconds(moment: time) -> float:
    return (moment.hour * 60 + moment.minute) * 60 + moment.second + moment.microsecond / 1e6


def _joined(found: Iterable[Gap]) -> list[Gap]:
    """Join what lies side by side and has one reason; whole days only."""
    joined: list[Gap] = []
    for gap in found:
        before = joined[-1] if joined else None
        if before is not None and _adjoins(before, gap):
            joined[-1] = replace(
                before,
                last=gap.last,
                questions=before.questions + gap.questions,
                asked_on=max(filter(None, (before.asked_on, gap.asked_on)), default=None),
                proven_on=_older(before.proven_on, gap.proven_on),
            )
        else:
            joined.append(gap)
    return joined


def _adjoins(before: Gap, gap: Gap) -> bool:
    if before.last is None or gap.first is None or before.start_time or gap.start_time:
        return False
    if before.last.toordinal() + 1 != gap.first.toordinal() or before.axes or gap.axes:
        return False
    return _reason(before) == _reason(gap)


def _reason(gap: Gap) -> tuple[object, ...]:
    return (gap.outcome, gap.status, gap.comment, gap.message, gap.ended, gap.proven_on is None)


def _older(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else min(one, other)
