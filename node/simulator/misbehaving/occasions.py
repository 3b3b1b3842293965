"""When something is due: counts of questions and operations, and the time since the start."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from node.dicom.querying.question import Question
from node.net.messages import Caller
from node.simulator.misbehaving.retrieval.occasions import AssociationCounters, RetrievalCounters
from node.simulator.misbehaving.settings import Change

_REMEMBERED = 4096
"""Associations whose operations are counted; those that began earlier have ended."""


@dataclass(slots=True, kw_only=True)
class Counters:
    """What has happened so far.

    Attributes
    ----------
    questions
        C-FINDs that were asked.
    answers
        Matches that were sent, doubles included.
    refused
        C-FINDs that ended with a failure.
    broken
        C-FINDs that had no last response: the association was aborted.
    silent
        C-FINDs and retrievals that were never answered, because that was to be so.
    most_waiting
        The most questions and images that waited for a worker at once.
    """

    questions: int = 0
    answers: int = 0
    refused: int = 0
    broken: int = 0
    silent: int = 0
    most_waiting: int = 0
    retrieval: RetrievalCounters = field(default_factory=RetrievalCounters)
    associations: AssociationCounters = field(default_factory=AssociationCounters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """One question among all: each number counts from 1.

    Attributes
    ----------
    number
        Of all questions.
    again
        Of the same question.
    operation
        Of its association.
    """

    number: int
    again: int
    operation: int

    def is_one_of(self, every: int) -> bool:
        """Tell whether every so-manieth question falls on this one; 0 is never."""
        return every > 0 and self.number % every == 0


class Occasions:
    """Counts, of one simulated PACS.

    Parameters
    ----------
    clock
        Seconds, from any moment on.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.counters = Counters()
        self._clock = clock
        self._start = clock()
        self._again: Counter[int] = Counter()
        self._operations: OrderedDict[int, tuple[Caller, int]] = OrderedDict()

    def note(self, caller: Caller, question: Question, *, remember: bool) -> Occasion:
        """Count a question.

        Parameters
        ----------
        caller
            The same object for all questions of one association.
        remember
            Whether the question is to be known again; there may be millions of them.
        """
        self.counters.questions += 1
        again = 1
        if remember:
            same = hash((question.level, tuple(sorted(question.keys.items())), question.after))
            self._again[same] += 1
            again = self._again[same]
        return Occasion(
            number=self.counters.questions, again=again, operation=self.operation(caller)
        )

    def operation(self, caller: Caller) -> int:
        """Count an operation, and return which one of its association it is."""
        _, before = self._operations.get(id(caller), (caller, 0))
        self._operations[id(caller)] = (caller, before + 1)
        if len(self._operations) > _REMEMBERED:
            self._operations.popitem(last=False)
        return before + 1

    def has_come(self, change: Change | None) -> bool:
        """Tell whether a change has happened."""
        return (
            change is not None
            and self.counters.questions >= change.after_questions
            and self._clock() - self._start >= change.after_seconds
        )
