"""Whether the daemon moves from a PACS now, tries one study, or waits, and what for."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from node.config import Config
from node.ops.guarding.budgets import BudgetStanding, budgets_of, standings
from node.ops.guarding.windows import window_of
from schema import AsyncSession
from schema.guarding.breakers import breaker_of, opening_of
from schema.guarding.breaking import Breaker, BreakerCause, BreakerState
from schema.guarding.spending import has_come_since
from schema.tables.columns import present

RESTED = timedelta(hours=1)
"""After so long without anything that came, one study goes alone again where hours are always
open."""


class PeerEntry(StrEnum):
    """What the daemon does at a PACS."""

    GO = "go"
    """It moves what is due."""
    TRY = "try"
    """It moves one study alone, one node does, and goes by what becomes of it."""
    WAIT = "wait"
    """It asks for nothing."""


class Holdup(StrEnum):
    """What is waited for."""

    BREAKER = "breaker"
    """Nothing is moved from the PACS until it answers again."""
    CANARY = "canary"
    """A study that goes alone has to come first."""
    BUDGET = "budget"
    """What may be moved in this night is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerWait:
    """What is waited for at a PACS.

    Attributes
    ----------
    reason
        In words.
    until
        When it goes on, or is tried (naive UTC); None: with the next cycle, or nobody knows.
    """

    what: Holdup
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAdmission:
    """What the daemon does at a PACS, and what it waits for, or tries a study for."""

    entry: PeerEntry
    wait: PeerWait | None = None


def admitted(
    breaker: Breaker,
    *,
    canary_due: bool,
    used_up: BudgetStanding | None,
    now: datetime,
    longest_wait: float,
) -> PeerAdmission:
    """Decide what the daemon does at a PACS.

    Parameters
    ----------
    canary_due
        Whether nothing has come from it since its hours opened, and one study has to go first.
    used_up
        A budget that is.
    now
        Naive UTC.
    longest_wait
        Seconds: the longest wait there is until a study is tried. What waits more than twice as
        long was written by a clock that has been set back since.
    """
    if breaker.state is not BreakerState.CLOSED:
        canary = breaker.cause is BreakerCause.CANARY
        what = Holdup.CANARY if canary else Holdup.BREAKER
        wait = PeerWait(what=what, reason=opening_of(breaker), until=breaker.retry_on)
        left = timedelta() if breaker.retry_on is None else breaker.retry_on - now
        due = not timedelta() < left <= timedelta(seconds=2 * longest_wait)
        trying = breaker.state is BreakerState.HALF_OPEN
        if not (due or trying):
            return PeerAdmission(entry=PeerEntry.WAIT, wait=wait)
        if used_up is None:
            return PeerAdmission(entry=PeerEntry.TRY, wait=PeerWait(what=what, reason=wait.reason))
    if used_up is not None and used_up.reason is not None:
        until = used_up.budget.window.next
        wait = PeerWait(what=Holdup.BUDGET, reason=used_up.reason, until=until)
        return PeerAdmission(entry=PeerEntry.WAIT, wait=wait)
    if canary_due:
        reason = "one study is moved alone, and the rest when it has come"
        return PeerAdmission(entry=PeerEntry.TRY, wait=PeerWait(what=Holdup.CANARY, reason=reason))
    return PeerAdmission(entry=PeerEntry.GO)


async def admission(
    config: Config, session: AsyncSession, name: str, *, now: datetime | None = None
) -> PeerAdmission:
    """Return what the daemon does at a PACS.

    Parameters
    ----------
    now
        Aware; None is the clock's. It is taken to be within the hours of the PACS.
    """
    now = now or present()
    held = await standings(session, budgets_of(config, name, now))
    return admitted(
        await breaker_of(session, name),
        canary_due=await _is_canary_due(config, session, name, now),
        used_up=next((one for one in held if one.reason is not None), None),
        now=now.astimezone(UTC).replace(tzinfo=None),
        longest_wait=config.move.retry_limit,
    )


async def waits(
    config: Config, session: AsyncSession, peers: Iterable[str], *, now: datetime | None = None
) -> dict[str, PeerWait]:
    """Return what is waited for, or tried, at PACSs, by their names; where nothing is, nothing.

    Parameters
    ----------
    now
        Aware; None is the clock's.
    """
    found = {name: await admission(config, session, name, now=now) for name in peers}
    return {name: one.wait for name, one in found.items() if one.wait is not None}


async def _is_canary_due(config: Config, session: AsyncSession, name: str, now: datetime) -> bool:
    window = window_of(config.move_hours(name), now) if config.move.canary else None
    if window is None:
        return False
    last = None
    if window.day:
        last = (now - RESTED).astimezone(UTC).replace(tzinfo=None)
    return not await has_come_since(session, name, window.begin, last=last)
