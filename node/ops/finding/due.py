"""What is asked of a peer now: the dates that are due, by the ledger and the policy of ages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from node.config import FindSettings
from node.config.sections import ProofSettings
from node.dicom.query import StudyQuery, Window
from node.ops.finding.planning.expecting import Expectation
from schema import AsyncSession
from schema.coverage.ages import AgeBand, AgePolicy
from schema.coverage.daily import get_study_days
from schema.coverage.drift import Drift, late
from schema.coverage.due import DueRange, DueReason, due, is_due, left_behind
from schema.coverage.ledger import Coverage
from schema.coverage.proof import DateStretch

_DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDates:
    """Dates that are due, and the question for them.

    Attributes
    ----------
    reason
        `newest`, `unknown`, `expired`; or `undated`: those without a date are due; or `ahead`: so
        are all dates after today, of which there is never a proof.
    proven_on
        The oldest proof among them, naive UTC; None where some have none.
    """

    query: StudyQuery
    reason: str
    proven_on: datetime | None = None


def policy_of(settings: ProofSettings) -> AgePolicy:
    """Return how old proofs may be, from the configuration."""
    return AgePolicy(
        bands=(
            AgeBand(days=int(settings.newest // _DAY), every=timedelta()),
            AgeBand(days=int(settings.recent // _DAY), every=_time(settings.recent_every)),
            AgeBand(days=int(settings.past // _DAY), every=_time(settings.past_every)),
            AgeBand(days=None, every=_time(settings.older_every)),
        )
    )


def configured_queries(settings: FindSettings, today: date) -> list[StudyQuery]:
    """Return all that a find cycle of the daemon covers, one query for each modality.

    Parameters
    ----------
    today
        The last study date, unless the configuration names an earlier one: what a peer has of a
        day that is still to come is known when it has come. Before `start_date` there is none.
    """
    start = settings.start_date or today - timedelta(days=int(settings.lookback // _DAY))
    if start > today:
        return []
    window = Window(start=start, end=min(settings.end_date or today, today))
    return [StudyQuery(window=window, modality=one) for one in settings.modality or ("",)]


async def due_dates(
    session: AsyncSession,
    settings: FindSettings,
    peer: str,
    scopes: Sequence[Coverage],
    *,
    queries: Sequence[StudyQuery] = (),
    now: datetime,
) -> list[DueDates]:
    """Return what a peer is to be asked now, in this order.

    Parameters
    ----------
    scopes
        What is known of the peer.
    queries
        What may be asked at all; what the configuration says when there are none. Where it has no
        `start_date`, dates that left its look back before they were settled belong to it.
    now
        Aware, of this machine's time zone: its date is today.
    """
    policy = policy_of(settings.proof)
    drifts = await drifts_at(session, peer, scopes)
    found = []
    for query in queries or configured_queries(settings, now.date()):
        scope = scope_of(scopes, query)
        known = () if scope is None else scope.stretches
        window = query.window
        if not queries and settings.start_date is None:
            window = _reaching_back(window, known, settings, now)
        if window.start is None or window.end is None:
            found.append(DueDates(query=query, reason=DueReason.UNKNOWN.name.lower()))
            continue
        found += [
            _dates(query, one)
            for one in due(
                known, policy, first=window.start, last=window.end, now=now, drifts=drifts
            )
        ]
        undated = None if scope is None else scope.undated
        if settings.undated and is_due(undated, policy, now=now):
            whole = replace(query, window=Window(undated=True))
            found.append(DueDates(query=whole, reason="undated"))
        if settings.ahead and not queries:
            tomorrow = Window(start=now.date() + timedelta(days=1))
            found.append(DueDates(query=replace(query, window=tomorrow), reason="ahead"))
    return found


async def expectation_of(
    session: AsyncSession, peer: str, scopes: Sequence[Coverage], queries: Sequence[StudyQuery]
) -> Expectation:
    """Return how many studies are expected where queries without keys are about to ask."""
    windows = [query.window for query in queries if not query.keys()]
    starts = [window.start for window in windows if window.start]
    ends = [window.end for window in windows if window.end]
    scope = scope_of(scopes, StudyQuery())
    if scope is None or not starts or not ends:
        return Expectation()
    first, last = min(starts), max(ends)
    proven = [
        (max(one.first or first, first), min(one.last or last, last))
        for one in scope.stretches
        if one.proven_on is not None
    ]
    days = await get_study_days(session, peer, first=first, last=last)
    return Expectation(
        [(start, end) for start, end in proven if start <= end],
        [(one.day, one.studies) for one in days],
    )


async def drifts_at(session: AsyncSession, peer: str, scopes: Sequence[Coverage]) -> list[Drift]:
    """Return where studies of a peer came after all of their dates had been known."""
    known = next((scope.stretches for scope in scopes if not scope.query), ())
    settled = [one.settled_on for one in known if one.settled_on is not None]
    if not settled:
        return []
    return late(known, await get_study_days(session, peer, found_since=min(settled)))


def scope_of(scopes: Sequence[Coverage], query: StudyQuery) -> Coverage | None:
    """Return what is known for the keys of a query; see `scope_for`."""
    return scope_for(scopes, query.keys())


def scope_for(scopes: Sequence[Coverage], keys: Mapping[str, str]) -> Coverage | None:
    """Return what is known for matching keys.

    What was asked for without keys vouches for these as well, where nothing was asked with them.
    """
    known = {tuple(sorted(one.query.items())): one for one in scopes}
    return known.get(tuple(sorted(keys.items()))) or known.get(())


def _reaching_back(
    window: Window, known: Sequence[DateStretch], settings: FindSettings, now: datetime
) -> Window:
    early = left_behind(
        known,
        lookback=int(settings.lookback // _DAY),
        within=int(settings.proof.recent // _DAY),
        now=now,
    )
    if early is None or window.start is None or early >= window.start:
        return window
    return replace(window, start=early)


def _dates(query: StudyQuery, one: DueRange) -> DueDates:
    return DueDates(
        query=replace(query, window=Window(start=one.first, end=one.last)),
        reason=one.reason.name.lower(),
        proven_on=one.proven_on,
    )


def _time(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
