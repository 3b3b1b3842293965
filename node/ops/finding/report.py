"""What a find comes to: the values of `node.ops.finding.find`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from node.dicom.query import StudyQuery
from node.ops.counting.peers import CountReport
from node.ops.tour import PeerTrouble
from schema.coverage.drift import Drift
from schema.finding.seen import FoundInAll
from schema.tables.ledger import INTERRUPTED
from schema.text.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowResult:
    """One question to a peer, and what came of it.

    Attributes
    ----------
    query
        The question, with its dates.
    outcome
        `complete`; `truncated` when the peer has more; `suspect` when it cannot be believed;
        `refused` when the peer answered with a failure status; `failed` when it did not answer
        to the end, or was not asked because it could not be reached.
    found, new, changed
        Studies inside the window; those that no peer had answered before; those that are not as
        they were.
    outside
        Answers that the question did not ask for, left out.
    message
        Why, when it is not complete.
    put
        Whether the peer was asked: nobody is once no association can be had.
    """

    query: StudyQuery
    outcome: str
    found: int = 0
    new: int = 0
    changed: int = 0
    outside: int = 0
    put: bool = True
    message: str = ""

    def __str__(self) -> str:
        return str(self.query)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindReport:
    """What a find at one peer came to; without windows there was nothing to ask.

    Attributes
    ----------
    windows
        The questions in their order: one that was put twice is there twice.
    gaps
        The smallest windows, or the single studies, of which it is not known whether the peer has
        them; None where the find has not come so far.
    gone
        Studies that the peer is known to have no more since this find.
    unconfirmed
        Studies that did not come any more, and of which it is not known whether the peer has them.
    images
        What counting the images of its studies came to; None where that was not to be done.
    late
        Where studies came among dates that an earlier find had proven, by month.
    stopped
        Whether it was stopped before its end, as the hours were over.
    interrupted
        Whether it was broken off: this is what it had come to by then.
    contradiction
        A field of the peer's profile that its answers contradict, and what was seen.
    recalled
        Windows that an interrupted find had asked, and this one did not: what they brought is in
        no other of these numbers.
    in_all
        What it and those came to together; None where it went on with none.
    found
        Studies that were asked for, and are there; None: all that the questions brought.
    ambiguous
        Accession numbers that name several studies at this peer, each with what it names in words.
    absent
        What was asked for by keys, and of which it is known that the peer has none.
    """

    peer: str
    windows: tuple[WindowResult, ...] = ()
    gaps: tuple[WindowResult, ...] | None = None
    gone: int = 0
    unconfirmed: int = 0
    images: CountReport | None = None
    late: tuple[Drift, ...] = ()
    stopped: bool = False
    interrupted: bool = False
    contradiction: tuple[str, str] | None = None
    recalled: int = 0
    in_all: FoundInAll | None = None
    found: int | None = None
    ambiguous: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[StudyQuery, ...] = ()

    @property
    def asked(self) -> str:
        """How many questions it has put, in words."""
        return counted(self._questions, "question")

    @property
    def _questions(self) -> int:
        return sum(result.put for result in self.windows)

    @property
    def failures(self) -> list[WindowResult]:
        """Of which we still do not know what the peer has."""
        return list(self.gaps or ())

    @property
    def is_whole(self) -> bool:
        """Whether it is known of all that was asked for, and of all that was, what the peer has."""
        return not self.failures and not self.unconfirmed

    @property
    def outcome(self) -> str:
        """How it ended, as its cycle's row says it: interrupted, partial or done."""
        if self.stopped or self.interrupted:
            return INTERRUPTED
        return "done" if self.is_whole else "partial"

    def counts(self) -> dict[str, int]:
        """Return the report's numbers, by name."""
        images = {} if self.images is None else self.images.counts()
        brought = sum(result.found for result in self.windows)
        return {
            "windows": self._questions,
            "failed_windows": len(self.failures),
            "found": brought if self.found is None else self.found,
            "new": sum(result.new for result in self.windows),
            "changed": sum(result.changed for result in self.windows),
            "outside": sum(result.outside for result in self.windows),
            "gone": self.gone,
            "unconfirmed": self.unconfirmed,
            "late": sum(drift.studies for drift in self.late),
            **({"recalled": self.recalled} if self.recalled else {}),
            **({} if self.in_all is None else _named(self.in_all)),
            **images,
        }


def _named(in_all: FoundInAll) -> dict[str, int]:
    return {
        "windows_in_all": in_all.windows,
        "found_in_all": in_all.found,
        "new_in_all": in_all.new,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class FindBegun:
    """A peer is about to be asked.

    Attributes
    ----------
    questions
        How many studies are asked for; None of windows, whose number the answers decide.
    by_key
        Whether single studies are asked for.
    """

    peer: str
    questions: int | None = None
    by_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FindResumed:
    """A find goes on with what interrupted ones had asked.

    Attributes
    ----------
    cycles
        The keys of their cycles.
    windows
        How many windows they had asked, those included that this find may not ask for.
    """

    peer: str
    cycles: tuple[int, ...]
    windows: int

    def __str__(self) -> str:
        named = ", ".join(str(cycle) for cycle in self.cycles)
        cycles = "cycle" if len(self.cycles) == 1 else "cycles"
        asked = counted(self.windows, "window")
        return f"{self.peer}: goes on with {cycles} {named}, by which {asked} had been answered"


FindWatcher = Callable[[FindBegun | FindResumed | WindowResult | FindReport | PeerTrouble], None]
"""Told of each peer: that it is asked, what each question came to, and how it ended."""
