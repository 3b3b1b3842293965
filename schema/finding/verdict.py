"""Whether a study that was moved is complete: held against what is so when that is recorded; pure.

A move takes a while. Meanwhile a find may have learnt that the study has grown, and files of it
may have gone: what the move had read at its beginning is not what it is judged by at the end.
"""

from dataclasses import dataclass
from datetime import datetime

from schema.tables.models import RETRIEVED


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveState:
    """Where a found study stands, at this moment.

    Attributes
    ----------
    attempts
        How often it has been moved.
    retrieved
        Whether all that the PACS has of it is here.
    images
        How many of its images are in the index.
    expected
        How many it should have, as its row says; None when nobody has said.
    shared
        Whether other PACSs have it as well, or had it: then the number of images that are here
        does not say whose they are.
    said
        How many images the PACS says it has; None when it does not say.
    """

    attempts: int
    retrieved: bool
    images: int
    expected: int | None = None
    shared: bool = False
    said: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAttempt:
    """One more attempt to move a study, as for `record_move_attempt`; it may be `retrieved`.

    Attributes
    ----------
    seen
        Where the study stood when the PACS was asked: what has changed since is newer than
        the attempt. None when the attempt is not to be doubted.
    """

    study_uid: str
    state: str
    error: str | None = None
    next_attempt_on: datetime | None = None
    expected_images: int | None = None
    seen: MoveState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Why a study is not complete that its move took to be.

    Attributes
    ----------
    images, expected
        How many of its images are in the index, and how many there should be.
    reason
        The same in words.
    """

    images: int
    expected: int
    reason: str


def missing(images: int, expected: int) -> str:
    """Say that so many of the images are not here."""
    return f"{expected - images} of {expected} images are missing"


def expectation(attempt: MoveAttempt, now: MoveState) -> int | None:
    """Return how many images a study has, after an attempt; None when that is not known better.

    What was said since the attempt began is newer than what it began with, and what the attempt
    has learnt itself is not a reason to expect less.
    """
    learnt, seen = attempt.expected_images, attempt.seen
    if learnt is None or seen is None or now.expected in {None, seen.expected}:
        return learnt
    return now.expected if learnt == seen.expected else max(learnt, now.expected)


def lack(attempt: MoveAttempt, now: MoveState, peer: str | None) -> Lack | None:
    """Return what a study lacks after an attempt that took it to be complete; None for nothing.

    Parameters
    ----------
    now
        Where the study stands while nobody else can change that.
    peer
        The PACS that was asked. Where others have the study as well, no more than what this one
        has is needed: each is judged by itself.
    """
    seen = attempt.seen
    if attempt.state != RETRIEVED or seen is None:
        return None
    says_otherwise = now.said is not None and now.said != seen.said
    if now.shared:
        wanted = max(attempt.expected_images or 0, (now.said or 0) if says_otherwise else 0)
    else:
        wanted = expectation(attempt, now) or 0
    if now.images < wanted:
        return Lack(images=now.images, expected=wanted, reason=missing(now.images, wanted))
    # of a study that others have as well, the count does not tell whether its news is here
    if now.shared and says_otherwise and (seen.said is None or (now.said or 0) > seen.said):
        reason = f"{peer} has said since that it has {now.said} images of it"
    elif now.shared and not seen.shared:
        reason = f"another PACS has it as well since {peer} was asked"
    else:
        return None
    return Lack(images=now.images, expected=wanted, reason=reason)
