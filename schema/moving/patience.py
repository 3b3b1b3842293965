"""When a study is asked for again after an attempt that has not brought all of it; pure.

    what has become of the attempt        next attempt                         counts as vain
    ──────────────────────────────────────────────────────────────────────────────────────────
    images came, and some are missing     at once, for what is missing         no
    the peer cannot be asked at all       with the next cycle                  no
    (no connection, refused, unknown
    destination)
    busy (0xA701, 0xA702), silent,        after `retry`, doubled each time     no
    lost on the way
    another failure; nothing came         after `retry`, doubled each time     yes
    all the PACS names is here, and       after `retry`, doubled each time     yes
    nobody knows whether it is all

Waits differ by a fifth, at random, so that what has failed together is not tried again together.
After `attempts` vain ones in a row, or three times as many of any kind that have brought nothing, a
study is given up, until there is news of it or somebody wants it again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from schema.engine.backoff import Backoff

_SPREAD = 0.2
_ANY_KIND = 3


class FailureKind(StrEnum):
    """How an attempt has gone: the values of `move_attempts.failure`."""

    NONE = "none"
    """The PACS has reported no failure."""
    CONFIGURATION = "configuration"
    """The PACS does not take us, or does not know where to send to: no study will come."""
    OUTAGE = "outage"
    """The PACS cannot be reached."""
    BUSY = "busy"
    """The PACS is out of resources for now, fell silent, or was lost on the way."""
    REFUSED = "refused"
    """The PACS has reported another failure."""

    @property
    def is_of_the_peer(self) -> bool:
        """Whether it says nothing of the study."""
        return self in {FailureKind.CONFIGURATION, FailureKind.OUTAGE}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLimits:
    """How often and when a study is asked for again.

    Attributes
    ----------
    retry, retry_limit
        Seconds: the first wait, which is doubled each time, and the longest one.
    attempts
        How many attempts in vain, one after the other, a study gets; None is any number.
    """

    retry: float = 300.0
    retry_limit: float = 86400.0
    attempts: int | None = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """When a study is due again.

    Attributes
    ----------
    on
        Naive UTC; None is at any time, or never.
    vain
        How many attempts in a row have been in vain.
    given_up
        Whether it is never due, unless there is news.
    """

    on: datetime | None
    vain: int
    given_up: bool = False


def next_attempt(
    limits: RetryLimits,
    *,
    kind: FailureKind,
    arrived: int,
    attempts: int,
    vain: int,
    now: datetime,
    chance: float,
) -> Next:
    """Return when a study is due again: see the table above.

    Parameters
    ----------
    kind
        How the attempt has gone.
    arrived
        How many images of it have come that were not here.
    attempts
        How many attempts in a row have not brought an image, this one included.
    vain
        How many of those before it were in vain.
    now
        Naive UTC.
    chance
        A random number from 0 to 1.
    """
    if arrived:
        return Next(on=None, vain=0)
    if kind.is_of_the_peer:
        return Next(on=None, vain=vain)
    if kind is not FailureKind.BUSY:
        vain += 1
    most = limits.attempts
    if most is not None and (vain >= most or attempts >= _ANY_KIND * most):
        return Next(on=None, vain=vain, given_up=True)
    pause = Backoff(first=limits.retry, longest=limits.retry_limit).pause(max(attempts, 1))
    spread = 1 + _SPREAD * (2 * chance - 1)
    return Next(on=now + timedelta(seconds=pause * spread), vain=vain)
