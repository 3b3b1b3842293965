"""When something is due among retrievals, and what has happened to them so far."""

from collections import Counter
from dataclasses import dataclass, field

from node.simulator.chance import fraction
from node.simulator.misbehaving.values import When


@dataclass(slots=True, kw_only=True)
class RetrievalCounters:
    """What has happened to retrievals so far.

    Attributes
    ----------
    moves, gets
        C-MOVEs and C-GETs that were asked.
    images
        Images that were stored and taken (Success or a warning), doubles included.
    not_taken
        C-STOREs that were answered with a failure, or not at all.
    late_images
        Of `images`, those after the last response, or after the requestor had gone.
    left_out
        Images that were to be sent and were not.
    doubled
        Images that were stored a second time.
    failures
        Retrievals that ended with a failure: those that were played, and what was refused.
    empty, early, endless
        Retrievals of which that was made.
    stalled
        Retrievals that came to a halt for ever.
    aborted
        Associations that were aborted in the middle of a retrieval.
    cancelled, cancels_ignored
        Retrievals for which a C-CANCEL came, and ended them or did not.
    ended
        Retrievals that are over, however that came.
    restarts
        How many times the PACS went down.
    """

    moves: int = 0
    gets: int = 0
    images: int = 0
    not_taken: int = 0
    late_images: int = 0
    left_out: int = 0
    doubled: int = 0
    failures: int = 0
    empty: int = 0
    early: int = 0
    endless: int = 0
    stalled: int = 0
    aborted: int = 0
    cancelled: int = 0
    cancels_ignored: int = 0
    ended: int = 0
    restarts: int = 0


@dataclass(slots=True, kw_only=True)
class AssociationCounters:
    """The associations that others have opened; see `node.net.scp.limits.Attendance`.

    Attributes
    ----------
    opened
        How many there were so far.
    open
        How many there are, by calling AE title.
    most
        How many there were at once.
    most_of
        How many each calling AE title had at once.
    rejected
        How many were rejected, by calling AE title: too many were open.
    """

    opened: int = 0
    open: dict[str, int] = field(default_factory=dict)
    most: int = 0
    most_of: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)

    def came(self, aetitle: str) -> None:
        """Count one."""
        self.opened += 1
        self.open[aetitle] = now = self.open.get(aetitle, 0) + 1
        self.most = max(self.most, sum(self.open.values()))
        self.most_of[aetitle] = max(self.most_of.get(aetitle, 0), now)

    def went(self, aetitle: str) -> None:
        """Count one less."""
        self.open[aetitle] -= 1
        if not self.open[aetitle]:
            del self.open[aetitle]

    def turned_away(self, aetitle: str) -> None:
        """Count one that was rejected."""
        self.rejected[aetitle] = self.rejected.get(aetitle, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalOccasion:
    """One retrieval among all: each number counts from 1.

    Attributes
    ----------
    number
        Of all retrievals.
    again
        Of those of its study.
    study
        Study Instance UID, or Patient ID.
    """

    number: int
    again: int
    study: str

    def falls_on(self, when: When | None, purpose: str) -> bool:
        """Tell whether something happens to this one.

        Parameters
        ----------
        purpose
            What it is, in a word: another one happens to other studies.
        """
        return (
            when is not None
            and self.number % when.every == 0
            and (not when.first or self.again <= when.first)
            and (when.share >= 1 or fraction(self.study, purpose) < when.share)
        )


class RetrievalOccasions:
    """Counts the retrievals of one simulated PACS."""

    def __init__(self) -> None:
        self._number = 0
        self._again: Counter[str] = Counter()

    def note(self, study: str) -> RetrievalOccasion:
        """Count a retrieval of a study."""
        self._number += 1
        self._again[study] += 1
        return RetrievalOccasion(number=self._number, again=self._again[study], study=study)
