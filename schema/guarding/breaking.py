"""When the daemon moves nothing from a PACS for a while, and when it tries a study; pure.

`TRANSITIONS` is the whole of it, and docs/moving.md shows the same table. What is not in it leaves
the state as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from schema.engine.backoff import Backoff
from schema.moving.patience import FailureKind, RetryLimits
from schema.tables.columns import CLOCKS_DIFFER

OUTAGES = 3
"""So often in a row a PACS cannot be reached before nothing is moved from it."""

_LONGEST_OUTAGE = 3600.0
"""Seconds after which at the latest a PACS is tried that could not be reached: it comes back by
itself, unlike a configuration."""


class BreakerState(StrEnum):
    """Whether studies are moved from a PACS by themselves: the values of `peer_breakers.state`."""

    CLOSED = "closed"
    """They are."""
    OPEN = "open"
    """They are not."""
    HALF_OPEN = "half-open"
    """One is tried, by one node."""


class BreakerCause(StrEnum):
    """Why not: the values of `peer_breakers.cause`."""

    CONFIGURATION = "configuration"
    """The PACS does not take us, or does not know where to send to."""
    OUTAGE = "outage"
    """It cannot be reached."""
    CANARY = "canary"
    """A study that was moved alone, before the rest, has not come."""


class BreakerEvent(StrEnum):
    """What happens to a breaker."""

    TRIED = "a study is tried"
    """One study is asked for, and no other: it is time to, or the canary's turn."""
    ANSWERED = "a retrieval is taken"
    """The PACS has taken a retrieval, whatever it brought."""
    IN_VAIN = "a study alone brings nothing"
    """One that was tried alone has brought nothing."""
    UNREACHABLE = "it is unreachable"
    """The PACS could not be reached, not for the third time in a row."""
    AWAY = "it is unreachable three times in a row"
    """It could not be, for the third time in a row or more often."""
    MISCONFIGURED = "it refuses us"
    """It refuses us, or does not know the destination."""


_ALL = tuple(BreakerState)
_TRYING = (BreakerState.OPEN, BreakerState.HALF_OPEN)

TRANSITIONS: Mapping[BreakerEvent, Mapping[BreakerState, BreakerState]] = {
    BreakerEvent.TRIED: {BreakerState.OPEN: BreakerState.HALF_OPEN},
    BreakerEvent.ANSWERED: dict.fromkeys(_TRYING, BreakerState.CLOSED),
    BreakerEvent.IN_VAIN: dict.fromkeys(_ALL, BreakerState.OPEN),
    BreakerEvent.UNREACHABLE: {BreakerState.HALF_OPEN: BreakerState.OPEN},
    BreakerEvent.AWAY: dict.fromkeys(_ALL, BreakerState.OPEN),
    BreakerEvent.MISCONFIGURED: dict.fromkeys(_ALL, BreakerState.OPEN),
}
"""The state that follows, by event and by the state before."""

_CAUSES = {
    BreakerEvent.IN_VAIN: BreakerCause.CANARY,
    BreakerEvent.UNREACHABLE: BreakerCause.OUTAGE,
    BreakerEvent.AWAY: BreakerCause.OUTAGE,
    BreakerEvent.MISCONFIGURED: BreakerCause.CONFIGURATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Where a breaker stands; the attributes are columns of `peer_breakers`."""

    state: BreakerState = BreakerState.CLOSED
    cause: BreakerCause | None = None
    message: str | None = None
    outages: int = 0
    trips: int = 0
    opened_on: datetime | None = None
    retry_on: datetime | None = None
    closed_on: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What has become of an attempt, as far as it says something of the PACS.

    Attributes
    ----------
    event
        UNREACHABLE stands for AWAY as well: which of them it is, those before decide.
    on
        When the PACS was asked (naive UTC).
    message
        What went wrong, in words.
    """

    event: BreakerEvent
    on: datetime
    message: str = ""


def tried(
    kind: FailureKind,
    *,
    asked_on: datetime | None,
    came: bool,
    alone: bool,
    now: datetime,
    message: str = "",
    in_vain: str = "",
) -> Tried | None:
    """Return what an attempt says of the PACS; None: nothing, for it was not asked.

    Parameters
    ----------
    asked_on
        When the PACS was asked (naive UTC); None when it was not.
    came
        Whether images came, be it that they were here already, or all is here.
    alone
        Whether the study was tried alone, and the rest waits for what becomes of it.
    message, in_vain
        What went wrong, in words; and where a study that was tried alone has brought nothing.
    """
    event = BreakerEvent.ANSWERED
    if kind is FailureKind.CONFIGURATION:
        event = BreakerEvent.MISCONFIGURED
    elif kind is FailureKind.OUTAGE:
        event = BreakerEvent.UNREACHABLE
    elif asked_on is None:
        return None
    elif alone and not came:
        event, message = BreakerEvent.IN_VAIN, in_vain
    return Tried(event=event, on=asked_on or now, message=message)


def after(before: Breaker, what: Tried, *, limits: RetryLimits, now: datetime) -> Breaker:
    """Return where a breaker stands after an event.

    Parameters
    ----------
    limits
        How long it waits until a study is tried: `retry`, doubled each time up to `retry_limit`;
        an hour at most where the PACS could not be reached.
    now
        Naive UTC.
    """
    event, state = what.event, before.state
    if event is BreakerEvent.ANSWERED:
        if state is BreakerState.CLOSED:
            return replace(before, outages=0)
        opened_on = before.opened_on or what.on
        if what.on < opened_on <= now + CLOCKS_DIFFER:  # else by a clock that has been set back
            return before  # it was asked before this went wrong
    if event is BreakerEvent.TRIED:
        return replace(before, state=TRANSITIONS[event].get(state, state))
    outages = before.outages
    if event is BreakerEvent.UNREACHABLE:
        outages += 1
        event = BreakerEvent.AWAY if outages >= OUTAGES else event
    follows = TRANSITIONS[event].get(state)
    if follows is None:
        return replace(before, outages=outages)
    if follows is BreakerState.CLOSED:
        return Breaker(state=follows, message=before.message, closed_on=now)
    trips = before.trips + 1
    if state is BreakerState.OPEN and before.retry_on is not None and now < before.retry_on:
        trips = max(before.trips, 1)  # it was asked by command, or before it opened
    cause = _CAUSES.get(event, before.cause)
    longest = limits.retry_limit
    if cause is BreakerCause.OUTAGE:
        longest = min(longest, _LONGEST_OUTAGE)
    pause = Backoff(first=limits.retry, longest=longest).pause(trips)
    return replace(
        before,
        state=follows,
        cause=cause,
        message=what.message or before.message,
        outages=outages if cause is BreakerCause.OUTAGE else 0,
        trips=trips,
        opened_on=now if state is BreakerState.CLOSED else before.opened_on,
        retry_on=now + timedelta(seconds=pause),
    )
