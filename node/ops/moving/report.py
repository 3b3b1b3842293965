"""What a move of studies comes to, and how long it waits: the values of `node.ops.moving.move`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from schema.backoff import Backoff


class Outcome(StrEnum):
    """How the retrieval of a study ended."""

    COMPLETE = "complete"
    """All the images that it should have are in the index."""

    PARTIAL = "partial"
    """Some are."""

    EMPTY = "empty"
    """None are, although the peer did not report a failure."""

    FAILED = "failed"
    """None are, and the peer said why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What became of one study.

    Attributes
    ----------
    expected
        How many images it should have; None when nobody can say.
    received
        How many are in the index.
    message
        Why it is not complete.
    """

    study_uid: str
    outcome: Outcome
    expected: int | None
    received: int
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a move stands, reported about twice a second.

    Attributes
    ----------
    study
        Which study this is, from 1 to `studies`.
    received, expected
        Of this study's images.
    result
        Set once, when the study is done.
    """

    study_uid: str
    study: int
    studies: int
    received: int
    expected: int | None
    result: StudyResult | None = None


@dataclass(slots=True, kw_only=True)
class MoveReport:
    """What a move came to."""

    peer: str
    results: list[StudyResult] = field(default_factory=list)

    @property
    def incomplete(self) -> list[StudyResult]:
        """The studies that are kept for the next time."""
        return [result for result in self.results if result.outcome is not Outcome.COMPLETE]

    def counts(self) -> dict[str, int]:
        """Return the report's numbers, by name."""
        return {
            "studies": len(self.results),
            "complete": len(self.results) - len(self.incomplete),
            "incomplete": len(self.incomplete),
            "images": sum(result.received for result in self.results),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a move waits, in seconds.

    Attributes
    ----------
    settle
        After the peer's last response: how long no image has arrived before a study that is
        not complete is judged.
    timeout
        Without any sign of progress, neither a response nor an image, before giving up.
    retry, retry_limit
        Until an incomplete study is due again: the first wait, doubled each time, and the
        longest one.
    """

    settle: float = 10.0
    timeout: float = 600.0
    retry: float = 300.0
    retry_limit: float = 86400.0

    def next_attempt(self, attempts: int, now: datetime) -> datetime:
        """Return when a study is due again after its nth attempt."""
        backoff = Backoff(first=self.retry, longest=self.retry_limit)
        return now + timedelta(seconds=backoff.pause(attempts + 1))


Watcher = Callable[[Progress], None]
"""Told where a move stands."""
