"""What a find would ask: the first windows, and about how many questions there will be.

A plan is played against a pretended peer: one that has as many studies as earlier finds have found,
and answers as many at once as it is known to. How its studies lie within days of which nothing is
known, and where a peer cuts off that was not seen to, nobody can say before. So it is played as
things may be, and the fewest and the most questions are told.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from node.config.values import Axis
from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery
from node.ops.finding.planning.cutting import AXES, MINUTES, days_of, line_of
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.known_days import KnownDays
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, WindowOutcome

_SHOWN = 10
"""Windows that are named."""

_MARGIN = 0.2
"""By how much of it a number of questions may be off: days and hours are not alike."""

_UNKNOWN = (1.0, 0.2, 5.0, 25.0)
"""Studies of a day, where nothing is known of a peer: the first is the one that is shown."""

_WEEK, _WORKING = 7, 5
"""Days of a week, and those of them with studies where the others have none."""

_DENSITIES = (0.5, 2.0)
"""How many times as dense as the others the dates may be of which nothing is known."""

_LONGEST = 5000
"""Questions of a play, which takes a second by then; the others are as many for each day."""

_KINDS = 10
"""How many values of a key, or characters of one, are as frequent as each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a find at a peer would begin with, and how much it would ask.

    Attributes
    ----------
    windows
        The first questions, if the days are as they are estimated.
    fewest, most
        How many there are in all, at least and at most, if no study has come or gone; the most is
        None where nothing is known of the peer, which may cut off its answers anywhere.
    """

    windows: tuple[StudyQuery, ...]
    fewest: int
    most: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorKnowledge:
    """What is known of a peer before a find; the attributes are parameters of `Planner`.

    Attributes
    ----------
    largest
        The most studies of an answer of an earlier find.
    """

    profile: PeerProfile
    axes: Sequence[str] = AXES
    widest: int = 0
    cut: int = 0
    silent: bool = False
    expected: Expectation | None = None
    known: KnownDays | None = None
    largest: int = 0


def estimated(
    queries: Sequence[StudyQuery], known: PriorKnowledge, *, per_day: float | None
) -> Estimate:
    """Estimate a find.

    Parameters
    ----------
    per_day
        Studies of a day of which nothing is known; None where nothing is known of any.
    """
    cap = known.profile.cap if known.profile.cap is not None else known.cut or None
    if per_day is None:
        plays = [_play(queries, known, _Archive(per_day=one), cap) for one in _UNKNOWN]
    else:
        archive = _Archive(per_day=per_day, expected=known.expected)
        dense = archive
        plays = [_play(queries, known, archive, cap)]
        if not archive.holds(queries):
            few, many = (replace(archive, per_day=per_day * times) for times in _DENSITIES)
            dense = replace(many, working=_WORKING)
            plays += [_play(queries, known, one, cap) for one in (few, dense)]
        if cap is None and known.largest > 0:  # it has answered as many, and may have stopped there
            plays.append(_play(queries, known, dense, known.largest))
        if cap and any(query.window.undated for query in queries):
            plays.append(_play(queries, known, replace(dense, dated=False), cap))
    asked = [play.questions for play in plays]
    return Estimate(
        windows=tuple(dict.fromkeys(plays[0].asked))[:_SHOWN],
        fewest=math.ceil(min(asked) * (1 - _MARGIN)),
        most=None if per_day is None else math.ceil(max(asked) * (1 + _MARGIN)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    """A find that was played.

    Attributes
    ----------
    questions
        How many there are, also where the play was not to its end.
    """

    asked: list[StudyQuery]
    questions: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Archive:
    """Studies, evenly over the days of which nothing is known, and over the times of each day.

    Attributes
    ----------
    working
        The days of a week that have studies, from Monday on.
    dated
        Whether what comes first for a question without a date has one.
    """

    per_day: float
    expected: Expectation | None = None
    working: int = _WEEK
    dated: bool = True

    def holds(self, queries: Sequence[StudyQuery]) -> bool:
        """Tell whether it is known how many studies the dates of all queries have."""
        dated = [query for query in queries if not query.window.undated]
        known, ranges = self.expected, [days_of(query) for query in dated]
        return known is not None and all(
            one is not None and known.count(one.first, one.last) is not None for one in ranges
        )

    def count(self, query: StudyQuery, base: StudyQuery) -> int:
        """Return how many studies a question is about.

        A key that what is asked for has not itself chooses about every tenth.
        """
        days = days_of(query)
        if days is None:
            return 0
        first, last = 0, MINUTES - 1
        times = line_of(query, times=True)
        if times is not None and times.by == "times":
            first, last = times.first, times.last
        count = self._before(days.last, last + 1) - self._before(days.first, first)
        for keyword, value in query.keys().items() - base.keys().items():
            keyed = keyword in {Axis.PATIENT_ID, Axis.ACCESSION_NUMBER}
            count //= _KINDS ** len(value.strip("*")) if keyed else _KINDS
        return count

    def _before(self, day: int, minute: int) -> int:
        """Return how many studies lie before a moment of a day."""
        before, after = self._until(day - 1), self._until(day)
        return int(before + (after - before) * minute / MINUTES)

    def _until(self, day: int) -> float:
        known, ranges = (0, []) if self.expected is None else self.expected.until(day)
        left = self._weighed(0, day) - sum(self._weighed(first - 1, last) for first, last in ranges)
        return known + left * self.per_day

    def _weighed(self, first: int, last: int) -> float:
        """Return how many days there are between two, as many as have studies."""
        days = [
            day // _WEEK * self.working + min(day % _WEEK, self.working) for day in (first, last)
        ]
        return (days[1] - days[0]) * _WEEK / self.working


def _play(
    queries: Sequence[StudyQuery], known: PriorKnowledge, archive: _Archive, cap: int | None
) -> _Play:
    """Play a find at a peer that has an archive, and answers so many studies at once."""
    planner = Planner(
        queries,
        known.profile,
        axes=known.axes,
        widest=known.widest,
        cut=known.cut,
        silent=known.silent,
        expected=known.expected,
        known=known.known,
    )
    kind = known.profile.cap_kind or (CapKind.EMPTY if known.silent else CapKind.CUT)
    asked: list[StudyQuery] = []
    while (ask := planner.next()) is not None and len(asked) < _LONGEST:
        asked.append(ask.query)
        window = ask.query.window
        count = archive.count(ask.query, ask.node.top.query)
        if window.undated:  # all that there is comes, of other dates as well
            count = 2 * planner.known.dated + 1
        outside = count if window.undated and archive.dated else 0
        answer = Heard(
            outcome=WindowOutcome.COMPLETE,
            asked_on=datetime.now(UTC).replace(tzinfo=None),
            matches=count - outside,
            outside=outside,
            answers=count,
            latest=window.end if count else None,
        )
        planner.take(answer if not cap or count <= cap else _beyond(cap, kind, answer))
    if ask is None:
        return _Play(asked=asked, questions=len(asked))
    covered = sum(node.days or 0 for node in planner.nodes if node.parent is None)
    return _Play(
        asked=asked,
        questions=len(asked) * sum(query.window.days or 0 for query in queries) / max(1, covered),
    )


def _beyond(cap: int, kind: CapKind, answer: Heard) -> Heard:
    """Return what a peer answers in the place of what is over its cap."""
    answered = 0 if kind in {CapKind.EMPTY, CapKind.REFUSED} else cap
    outcomes = {CapKind.REFUSED: WindowOutcome.REFUSED, CapKind.ANNOUNCED: WindowOutcome.TRUNCATED}
    return replace(
        answer,
        outcome=outcomes.get(kind, WindowOutcome.COMPLETE),
        matches=min(answer.matches, answered),
        outside=min(answer.outside, answered),
        answers=answered,
        latest=answer.latest if answered else None,
    )
