"""What a move of studies comes to, and how long it waits: the values of `node.ops.moving.move`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from node.ops.stalls import TimeLimits
from node.ops.tour import PeerTrouble
from schema.choosing.policy import ALL, Policy
from schema.moving.patience import RetryLimits


class StudyOutcome(StrEnum):
    """How the retrieval of a study ended."""

    COMPLETE = "complete"
    """All the images that it should have are in the index."""

    PARTIAL = "partial"
    """Some are."""

    EMPTY = "empty"
    """None are, although the peer did not report a failure."""

    FAILED = "failed"
    """None are, and the peer said why."""

    CANCELLED = "cancelled"
    """An operator has ended it, or holds it."""

    UNWANTED = "unwanted"
    """The policy wants nothing of it."""

    SKIPPED = "skipped"
    """Another node moves it, or has just done so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What became of one study.

    Attributes
    ----------
    expected
        How many images it should have; None when nobody can say.
    received
        How many are in the index.
    arrived
        How many of them came while it was moved; the others were here before.
    message
        Why it is not complete.
    """

    study_uid: str
    outcome: StudyOutcome
    expected: int | None
    received: int
    arrived: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyProgress:
    """Where a study stands; reported as its images come, and when it is done.

    Studies settle while others are asked for: what is told of them comes in any order.

    Attributes
    ----------
    study
        Which study this is, from 1 to `studies`.
    before
        How many of its images were here when it was begun with; None while that is not known.
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
    before: int | None = None
    result: StudyResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveReport:
    """What a move from one peer came to.

    Attributes
    ----------
    results
        Of the studies that were asked for, in their order.
    left
        How many were not asked for any more, because the hours had ended.
    """

    peer: str
    results: tuple[StudyResult, ...] = ()
    left: int = 0

    @property
    def incomplete(self) -> list[StudyResult]:
        """The studies that are kept for the next time."""
        done = (StudyOutcome.COMPLETE, StudyOutcome.UNWANTED, StudyOutcome.SKIPPED)
        return [result for result in self.results if result.outcome not in done]

    @property
    def skipped(self) -> list[StudyResult]:
        """The studies that were left to another node."""
        return [result for result in self.results if result.outcome is StudyOutcome.SKIPPED]

    def counts(self) -> dict[str, int]:
        """Return the report's numbers, by name; `skipped` only where there are any.

        `images` are those that came, not those that were here before.
        """
        left = (StudyOutcome.SKIPPED, StudyOutcome.UNWANTED)
        moved = [result for result in self.results if result.outcome not in left]
        counts = {
            "studies": len(moved),
            "complete": len(moved) - len(self.incomplete),
            "incomplete": len(self.incomplete),
            "images": sum(result.arrived for result in moved),
        }
        return counts | ({"skipped": len(self.skipped)} if self.skipped else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a move waits, in seconds.

    Attributes
    ----------
    settle
        After the peer's last response: how long no image has arrived before a study that is
        not complete is judged.
    limits
        Of a study's C-MOVE.
    query
        Of the C-FINDs that ask how many images a study has, and which.
    retries
        When a study that is not whole is due again.
    policy
        What of studies is wanted.
    """

    limits: TimeLimits
    query: TimeLimits
    settle: float = 10.0
    retries: RetryLimits = field(default_factory=RetryLimits)
    policy: Policy = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveBegun:
    """A peer is about to be asked for studies.

    Attributes
    ----------
    images
        How many they have, of those studies whose number is known.
    """

    peer: str
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWaits:
    """No study is asked for at the moment, or again.

    Attributes
    ----------
    reason
        Why not; None when it goes on.
    expected
        Whether that is what the configuration wants: nothing is wrong.
    """

    peer: str
    reason: str | None
    expected: bool = False


MoveWatcher = Callable[[MoveBegun | MoveWaits | StudyProgress | MoveReport | PeerTrouble], None]
"""Told of each peer: that it is asked, where its studies stand, and how it ended."""


class MoveNotes:
    """Keeps what a move tells, so that it is known also when it does not come to its end.

    Parameters
    ----------
    peer
        From whom it is, until it is told that another one is asked.
    """

    def __init__(self, peer: str = "") -> None:
        self._peer = peer
        self._results: dict[str, dict[int, StudyResult]] = {}

    def take(self, told: MoveBegun | MoveWaits | StudyProgress | MoveReport | PeerTrouble) -> None:
        """Take what a watcher is told."""
        match told:
            case MoveBegun():
                self._peer = told.peer
            case StudyProgress() if told.result is not None:
                self._results.setdefault(self._peer, {})[told.study] = told.result

    def reports(self) -> list[MoveReport]:
        """Return what came of the studies that are done, for each peer that has any."""
        return [self.report(peer) for peer in self._results]

    def report(self, peer: str, *, studies: int | None = None) -> MoveReport:
        """Return what came of a peer's studies that are done, of so many that were to be moved."""
        results = self._results.get(peer, {})
        done: dict[str, StudyResult] = {}
        for number in sorted(results):  # its time may have come again while others took long
            last = results[number]
            before = done.pop(last.study_uid, None)
            arrived = last.arrived + (0 if before is None else before.arrived)
            done[last.study_uid] = replace(last, arrived=arrived)
        left = 0 if studies is None else studies - len(results)
        return MoveReport(peer=peer, results=tuple(done.values()), left=left)
