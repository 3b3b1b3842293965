"""What a find would ask: the first windows, and about how many there will be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery
from node.ops.finding.planning.cutting import AXES, days_of
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, WindowOutcome

_SHOWN = 10
"""Windows that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a find at a peer would begin with.

    Attributes
    ----------
    windows
        The first questions, if the days are as they are estimated.
    queries
        How many there are in all, about.
    per_day
        Studies of a day that earlier finds have found; None when nothing is known.
    """

    peer: str
    windows: tuple[StudyQuery, ...]
    queries: int
    per_day: float | None = None


def estimated(
    peer: str,
    queries: Sequence[StudyQuery],
    profile: PeerProfile,
    *,
    per_day: float | None,
    axes: Sequence[str] = AXES,
    widest: int = 0,
    expected: Expectation | None = None,
) -> Estimate:
    """Estimate a find: play it against a peer that has as many studies on each day.

    That is those that are expected; `per_day` of a day of which nothing is, and one study where
    nothing is known at all.
    """
    density = 1.0 if per_day is None else per_day
    planner = Planner(queries, profile, axes=axes, widest=widest, expected=expected)
    now = datetime.now(UTC).replace(tzinfo=None)
    asked: list[StudyQuery] = []
    while (ask := planner.next()) is not None:
        asked.append(ask.query)
        window = ask.query.window
        share = 1.0
        if window.first is not None and window.last is not None:
            share = (window.last.hour * 60 + window.last.minute + 1) / 1440
            share -= (window.first.hour * 60 + window.first.minute) / 1440
        days = days_of(ask.query)
        known = expected.count(days.first, days.last) if expected and days else None
        count = round(((window.days or 0) * density if known is None else known) * share)
        if profile.cap and count > profile.cap:
            count = profile.cap
        planner.take(
            Heard(outcome=WindowOutcome.COMPLETE, asked_on=now, matches=count, answers=count)
        )
    return Estimate(peer=peer, windows=tuple(asked[:_SHOWN]), queries=len(asked), per_day=per_day)
