"""Which dates of a PACS are to be asked for now: from what is proven, as of when; pure.

1. Cut the dates where something changes: what is known of them, their band of ages, drift.
2. A piece is due when it never was asked for, when the find that asked did not come to its end or
   the PACS to no answer, when its proof has expired, and when it is among the newest. Where all was
   asked and cannot be proven, it is due as if it had been proven then: asking at once changes
   nothing.
3. A proof that is beside a due one of the same kind, and more than half as old as it may be, is
   renewed with it: otherwise each date would be asked for by itself, on a day of its own.
4. What lies between two due ranges, and is short beside them, is asked for with them.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum

from schema.coverage.ages import AgePolicy, age_of, bounds
from schema.coverage.drift import Drift
from schema.coverage.proof import DateQuestion, DateStretch

_REFUSED = "refused"
_UNANSWERED = (_REFUSED, "failed")

_THIN = 31
"""The most days that are asked for though they are not due."""


class DueReason(IntEnum):
    """Why dates are due: what comes first is asked first."""

    NEWEST = 1
    """They are asked for each time."""
    UNKNOWN = 2
    """It is not known what the PACS has."""
    EXPIRED = 3
    """The proof is older than it may be."""
    BESIDE = 4
    """They are not due, and asked for with those beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRange:
    """Dates that are due, both ends included.

    Attributes
    ----------
    reason
        The first of the reasons for any of them.
    proven_on
        The oldest proof among them, naive UTC; None where some have none.
    """

    first: date
    last: date
    reason: DueReason
    proven_on: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What dates are judged by; `newest`: those of the first band are due whatever is known."""

    policy: AgePolicy
    drifts: Sequence[Drift]
    now: datetime
    newest: bool = True

    @property
    def today(self) -> date:
        return self.now.date()

    @property
    def moment(self) -> datetime:
        return self.now.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Dates of which everything is the same; `reason` is None where they are not due."""

    first: date
    last: date
    band: int
    proven_on: datetime | None
    holds: timedelta | None
    age: timedelta | None
    reason: DueReason | None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def due(
    known: Sequence[DateStretch],
    policy: AgePolicy,
    *,
    first: date,
    last: date,
    now: datetime,
    drifts: Sequence[Drift] = (),
) -> list[DueRange]:
    """Return the dates that are to be asked for, in this order.

    The newest come first, then what is not known, the latest dates first, then the oldest proof.

    Parameters
    ----------
    known
        What is known of each date, as `schema.coverage.proof.stretches` returns it.
    first, last
        The dates that are wanted at all, both included.
    now
        Aware; its date is today.
    drifts
        Where studies have come late before.
    """
    given = _Given(policy=policy, drifts=drifts, now=now)
    pieces = list(_pieces(known, first, last, given))
    found = _joined(pieces, _renewed(pieces))
    return sorted(found, key=_urgency)


def is_due(undated: DateQuestion | None, policy: AgePolicy, *, now: datetime) -> bool:
    """Tell whether the studies without a date are due.

    Nobody knows how old they are: a proof holds as long as that of a date which has just left the
    newest. So does a refusal: many PACSs refuse every question without a date.
    """
    answered = _answered_on(undated)
    holds = policy.band((policy.newest.days or 0) + 1).every
    if undated is not None and undated.ended and undated.outcome == _REFUSED:
        answered, holds = undated.asked_on, holds or policy.shortest
    if answered is None:
        return True
    moment = now.astimezone(UTC).replace(tzinfo=None)
    return holds is not None and age_of(answered, moment) >= holds


def expired(
    known: Sequence[DateStretch],
    policy: AgePolicy,
    *,
    now: datetime,
    drifts: Sequence[Drift] = (),
) -> list[DueRange]:
    """Return the dates whose proof has expired, the earliest first.

    The newest, which are asked for each time, are as others a day or more older.
    """
    steady = AgePolicy(bands=policy.bands[1:]) if len(policy.bands) > 1 else policy
    bounded = [one for one in known if one.first is not None and one.last is not None]
    if not bounded:
        return []
    ends = [day for one in bounded for day in (one.first, one.last) if day is not None]
    given = _Given(policy=steady, drifts=drifts, now=now, newest=False)
    pieces = [
        piece
        for piece in _pieces(bounded, min(ends), max(ends), given)
        if piece.reason is DueReason.EXPIRED
    ]
    groups: list[list[_Piece]] = []
    for piece in pieces:
        if groups and (piece.first - groups[-1][-1].last).days == 1:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return [_range(group) for group in groups]


def left_behind(
    known: Sequence[DateStretch], *, lookback: int, within: int, now: datetime
) -> date | None:
    """Return the first date that left a look back of some days before it was settled; or None.

    That is one that was asked for only while it was newer than the look back is long, or was not
    answered: the node or the PACS was down since. From there on, nothing may be skipped.

    Parameters
    ----------
    lookback
        How many days a find looks back.
    within
        How many days ago the date was at most.
    now
        Aware; its date is today.
    """
    today = now.date()
    begin, end = today - timedelta(days=within), today - timedelta(days=lookback + 1)
    for stretch in known:
        if stretch.question is None:
            continue
        early = max(stretch.first or begin, begin)
        if (answered := _answered_on(stretch.question)) is not None:
            early = max(early, _day(answered, now) - timedelta(days=lookback - 1))
        if early <= min(stretch.last or end, end):
            return early
    return None


def _pieces(
    known: Sequence[DateStretch], first: date, last: date, given: _Given
) -> Iterator[_Piece]:
    """Yield the dates in pieces of which everything is the same."""
    starts = {first}
    for stretch in known:
        starts.add(first if stretch.first is None else stretch.first)
        if stretch.last is not None:
            starts.add(_after(stretch.last))
    starts.update(_ago(given.today, age) for age in bounds(given.policy))
    for drift in given.drifts:
        starts.update((drift.first, _after(drift.last)))
    cuts = sorted(day for day in starts if first <= day <= last)
    firsts = [stretch.first or date.min for stretch in known]
    for start, following in zip(cuts, [*cuts[1:], None], strict=True):
        end = last if following is None else following - timedelta(days=1)
        place = bisect_right(firsts, start) - 1
        about = place >= 0 and start <= (known[place].last or date.max)
        yield _piece(start, end, known[place] if about else None, given)


def _piece(start: date, end: date, stretch: DateStretch | None, given: _Given) -> _Piece:
    policy = given.policy
    band = policy.band((given.today - end).days)
    came = [one.found_on for one in given.drifts if one.first <= start and end <= one.last]
    question = None if stretch is None else stretch.question
    answered = _answered_on(question)
    quiet = max(answered - max(came), timedelta()) if came and answered is not None else None
    holds = policy.holds(band, quiet=quiet)
    age = None if answered is None else age_of(answered, given.moment)
    reason = None
    if given.newest and band is policy.newest:
        reason = DueReason.NEWEST
    elif question is None or answered is None:
        reason = DueReason.UNKNOWN
    elif holds is not None and age is not None and age >= holds:
        reason = DueReason.EXPIRED if question.covered_on is not None else DueReason.UNKNOWN
    return _Piece(
        first=start,
        last=end,
        band=policy.bands.index(band),
        proven_on=None if question is None else question.covered_on,
        holds=holds,
        age=age,
        reason=reason,
    )


def _answered_on(question: DateQuestion | None) -> datetime | None:
    """Return as of when the PACS has said all that it says; None: it has to be asked."""
    if question is None:
        return None
    if question.covered_on is not None:
        return question.covered_on
    answered = question.ended and question.outcome not in _UNANSWERED
    return question.asked_on if answered else None


def _renewed(pieces: Sequence[_Piece]) -> list[bool]:
    """Tell of each piece whether it is asked for: being due, or half old beside one that is."""
    asked = [piece.reason is not None for piece in pieces]
    for order in (range(1, len(pieces)), range(len(pieces) - 2, -1, -1)):
        step = 1 if order.step > 0 else -1
        for place in order:
            piece, beside = pieces[place], pieces[place - step]
            if asked[place] or not asked[place - step] or piece.band != beside.band:
                continue
            if piece.holds is not None and piece.age is not None and 2 * piece.age >= piece.holds:
                asked[place] = True
    return asked


def _joined(pieces: Sequence[_Piece], asked: Sequence[bool]) -> list[DueRange]:
    """Join what is asked for and lies side by side, or nearly so."""
    groups: list[list[_Piece]] = []
    holes: list[_Piece] = []
    for piece, wanted in zip(pieces, asked, strict=True):
        if not wanted:
            holes.append(piece)
            continue
        if groups and (not holes or _is_thin(holes, groups[-1])):
            groups[-1] += [*holes, piece]
        else:
            groups.append([piece])
        holes = []
    return [_range(group) for group in groups]


def _is_thin(holes: Sequence[_Piece], before: Sequence[_Piece]) -> bool:
    """Tell whether what lies between is not worth a question more."""
    between = sum(hole.days for hole in holes)
    return between <= _THIN and 4 * between <= sum(piece.days for piece in before)


def _range(pieces: Sequence[_Piece]) -> DueRange:
    proofs = [piece.proven_on for piece in pieces]
    known = [proof for proof in proofs if proof is not None]
    return DueRange(
        first=pieces[0].first,
        last=pieces[-1].last,
        reason=min((piece.reason or DueReason.BESIDE) for piece in pieces),
        proven_on=min(known) if known and len(known) == len(proofs) else None,
    )


def _urgency(one: DueRange) -> tuple[int, float, int]:
    oldest = 0.0
    if one.reason is DueReason.EXPIRED and one.proven_on is not None:
        oldest = one.proven_on.replace(tzinfo=UTC).timestamp()
    return one.reason, oldest, -one.last.toordinal()


def _day(proof: datetime, now: datetime) -> date:
    """Return which day it was, where `now` is, as of which something is proven."""
    return proof.replace(tzinfo=UTC).astimezone(now.tzinfo).date()


def _after(day: date) -> date:
    return day if day == date.max else day + timedelta(days=1)


def _ago(today: date, days: int) -> date:
    return date.fromordinal(max(1, today.toordinal() - days))
