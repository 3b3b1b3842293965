"""What a find would ask: the first windows, and about how many questions there will be.

A plan is played against a pretended peer: one that has as many studies as earlier finds have found,
and answers as many at once as it is known to. How its studies lie within days of which nothing is
known, and where a peer cuts off that was not seen to, nobody can say before. So it is played as
things may be, and the fewest and the most questions are told.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import StudyQuery
from node.ops.finding.planning.cutting import AXES
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.known_days import KnownDays
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.pretended import DayMinutes, PretendedArchive
from node.ops.finding.planning.questions import AXIS_QUESTIONS, OTHERS, UNDATED_QUESTIONS
from node.ops.finding.planning.tree import Heard, WindowOutcome

_SHOWN = 10
"""Windows that are named."""

_MARGIN = 0.2
"""By how much of it a number of questions may be off: days and hours are not alike."""

_SILENT_MARGIN = 0.5
"""The same, upwards, at a peer that says nothing when it has too much: how soon that is seen is
chance."""

_UNKNOWN = (1.0, 0.2, 5.0, 25.0)
"""Studies of a day, where nothing is known of a peer: the first is the one that is shown."""

_WORKING = 5
"""Days of a week with studies where the others have none."""

_DENSITIES = (0.5, 2.0)
"""How many times as dense as the others the dates may be of which nothing is known."""

_LONGEST = 5000
"""Questions of a play, which takes a second by then; the others are as many for each day."""

_KINDS = (1, 0)
"""By how many a key may divide studies besides: not at all, or so that none is left."""

_BEGIN = datetime(2000, 1, 1)  # noqa: DTZ001 - naive UTC, as in the ledger


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
    minutes
        At which times the studies are of each day that has more than the peer answers.
    """

    profile: PeerProfile
    axes: Sequence[str] = AXES
    widest: int = 0
    cut: int = 0
    silent: bool = False
    expected: Expectation | None = None
    known: KnownDays | None = None
    largest: int = 0
    minutes: DayMinutes = field(default_factory=dict)


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
        plays = [_play(queries, known, PretendedArchive(per_day=one), cap) for one in _UNKNOWN]
    else:
        plays = _plays(queries, known, per_day, cap)
    fewest = min(play.questions - play.by_keys - play.undated_by_keys for play in plays)
    most = max(play.most for play in plays)
    margin = _SILENT_MARGIN if _kind_of(known) is CapKind.EMPTY else _MARGIN
    return Estimate(
        windows=tuple(dict.fromkeys(plays[0].asked))[:_SHOWN],
        fewest=math.ceil(fewest * (1 - _MARGIN)),
        most=None if per_day is None else math.ceil(most * (1 + margin)),
    )


def _plays(
    queries: Sequence[StudyQuery], known: PriorKnowledge, per_day: float, cap: int | None
) -> "list[_Play]":
    """Play a find as things may be: the first play has what is likely."""
    archive = PretendedArchive(per_day=per_day, expected=known.expected, minutes=known.minutes)
    dense = archive
    plays = [_play(queries, known, archive, cap)]
    if not archive.holds(queries):
        few, many = (replace(archive, per_day=per_day * times) for times in _DENSITIES)
        dense = replace(many, working=_WORKING)
        plays += [_play(queries, known, one, cap) for one in (few, dense)]
    if cap is None and known.largest > 0:  # it has answered as many, and may have stopped there
        cap = known.largest
        plays.append(_play(queries, known, dense, cap))
    if any(query.window.undated for query in queries):
        plays.append(_play(queries, known, replace(dense, undated=0.0), cap))
    if any(play.has_keys for play in plays):  # what they choose nobody knows
        plays += [_play(queries, known, replace(dense, kinds=kinds), cap) for kinds in _KINDS]
    if known.profile.cap_kind is CapKind.REFUSED:
        plays.append(_play(queries, known, dense, cap, shows=True))
    return plays


@dataclass(frozen=True, slots=True, kw_only=True)
class _Play:
    """A find that was played.

    Attributes
    ----------
    questions
        How many there are, also where the play was not to its end.
    by_keys, undated_by_keys
        How many are for parts of windows that neither dates nor times split; for those without a
        date.
    has_keys
        Whether some of them had other keys than what was asked for.
    """

    asked: list[StudyQuery]
    questions: float
    by_keys: int
    undated_by_keys: int
    has_keys: bool

    @property
    def most(self) -> float:
        """How many there may be: what further keys come to nobody knows, but what is spent."""
        most = self.questions
        if self.by_keys:
            most += max(0, AXIS_QUESTIONS + len(self.asked) / OTHERS - self.by_keys)
        if self.undated_by_keys:
            most += max(0, UNDATED_QUESTIONS - self.undated_by_keys)
        return most


def _play(
    queries: Sequence[StudyQuery],
    known: PriorKnowledge,
    archive: PretendedArchive,
    cap: int | None,
    *,
    shows: bool = False,
) -> _Play:
    """Play a find at a peer that has an archive, and answers so many studies at once.

    Parameters
    ----------
    shows
        Whether it answers some of what it refuses.
    """
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
    kind = _kind_of(known)
    shown = cap or 0
    if kind is CapKind.EMPTY or (kind is CapKind.REFUSED and not shows):
        shown = 0
    asked: list[StudyQuery] = []
    while (ask := planner.next()) is not None and len(asked) < _LONGEST:
        asked.append(ask.query)
        window = ask.query.window
        dated = max(planner.known.dated, 0 if known.known is None else known.known.total)
        count = archive.count(ask.query, ask.node.top.query, dated=dated)
        outside = min(count, dated) if window.undated else 0
        answer = Heard(
            outcome=WindowOutcome.COMPLETE,
            asked_on=_BEGIN + timedelta(seconds=len(asked)),
            matches=count - outside,
            outside=outside,
            answers=count,
            untimed=archive.untimed(ask.query),
            latest=window.end if count else None,
        )
        planner.take(answer if not cap or count <= cap else _beyond(shown, kind, answer))
    by_keys = [node.query.window.undated for node in planner.nodes if node.is_along_axis]
    has_keys = any(node.query.keys() != node.top.query.keys() for node in planner.nodes)
    questions: float = len(asked)
    if ask is not None:
        covered = sum(node.days or 0 for node in planner.nodes if node.parent is None)
        questions *= sum(query.window.days or 0 for query in queries) / max(1, covered)
    return _Play(
        asked=asked,
        questions=questions,
        by_keys=by_keys.count(False),
        undated_by_keys=by_keys.count(True),
        has_keys=has_keys,
    )


def _kind_of(known: PriorKnowledge) -> CapKind:
    return known.profile.cap_kind or (CapKind.EMPTY if known.silent else CapKind.CUT)


def _beyond(shown: int, kind: CapKind, answer: Heard) -> Heard:
    """Return what a peer answers in the place of what is over its cap, and shows so many of."""
    outcomes = {CapKind.REFUSED: WindowOutcome.REFUSED, CapKind.ANNOUNCED: WindowOutcome.TRUNCATED}
    return replace(
        answer,
        outcome=outcomes.get(kind, WindowOutcome.COMPLETE),
        matches=max(0, shown - answer.outside),
        outside=min(answer.outside, shown),
        answers=shown,
        untimed=min(answer.untimed, shown),
        latest=answer.latest if shown else None,
    )
