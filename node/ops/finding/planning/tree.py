"""The windows of a plan: each a question, its answer, and what it was split into."""

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from node.dicom.query import StudyQuery
from schema.text.words import counted, verb

NAMES_NONE = "no study, or could not be recorded"


class WindowOutcome(StrEnum):
    """What became of a window: the values of `find_windows.outcome`."""

    COMPLETE = "complete"
    """It was answered to the end, and nothing speaks against it."""
    TRUNCATED = "truncated"
    """The peer has more than it answered."""
    SUSPECT = "suspect"
    """Nothing says that it is not whole, and still it cannot be believed."""
    REFUSED = "refused"
    """The peer answered with a failure status."""
    FAILED = "failed"
    """The peer did not answer to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The facts of an answer that are kept, and all that a plan depends on.

    Attributes
    ----------
    outcome
        `COMPLETE` when the last status was Success; `TRUNCATED` when the peer announced that
        there are more.
    matches
        Distinct studies inside the window.
    outside
        Distinct studies outside.
    answers
        Responses as they came.
    undated, untimed
        How many matches came without a date, and without a time.
    latest
        The latest study date of a match with a time after midnight; None also where it is not
        known any more.
    asked_on
        When it was asked, naive UTC.
    message
        What the peer or the network said, when it failed.
    retry
        Whether it makes sense to ask the same once more.
    nameless
        Answers that name no study, or none that can be recorded: each may be one more.
    lost
        No association can be had any more: nothing else will be answered either.
    """

    outcome: WindowOutcome
    asked_on: datetime
    matches: int = 0
    outside: int = 0
    answers: int = 0
    undated: int = 0
    untimed: int = 0
    latest: date | None = None
    message: str = ""
    retry: bool = True
    nameless: int = 0
    lost: bool = False

    @property
    def answered(self) -> bool:
        """Whether the peer answered to the end, with all or with a part."""
        return self.outcome is WindowOutcome.COMPLETE or self.outcome is WindowOutcome.TRUNCATED

    @property
    def size(self) -> int:
        """How many distinct studies came, at least."""
        return self.matches + self.outside

    @property
    def at_most(self) -> int:
        """How many distinct studies may have come: those that it does not name as well."""
        return self.size + self.nameless

    @property
    def says_all(self) -> bool:
        """Whether the peer answered with Success, and what came names its studies."""
        return self.outcome is WindowOutcome.COMPLETE and not self.nameless

    @property
    def flaw(self) -> str:
        """What is wrong with its answers, in words; "" when nothing is."""
        if not self.nameless:
            return ""
        answers = counted(self.nameless, "answer")
        return f"{answers} {verb(self.nameless, 'name')} {NAMES_NONE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowState:
    """What is known of a window by now.

    Attributes
    ----------
    covered_on
        As of when all its studies are known; None when they are not.
    """

    outcome: WindowOutcome
    covered_on: datetime | None = None
    message: str = ""


@dataclass(slots=True, eq=False)
class Node:
    """A window of the plan.

    Attributes
    ----------
    key
        Counts the windows of a plan from 0.
    by
        What its parts differ in: "dates", "times", or the keyword of an axis.
    attempts
        How often it was asked since it was answered.
    asked_on
        When it was asked last before its parts, naive UTC.
    stuck
        It cannot be split any further.
    expected
        How many studies the peer is known to have there; 0 where that is not known.
    silent, hidden
        It brought nothing, and a few of its studies were asked for by another key: whether that
        brought nothing either, or showed that there are some.
    unsampled
        It is a day in parts by times, and no question whatever the times brought any study.
    aside
        It is no part of its parent, but shows something of it.
    short
        Its parts by dates brought fewer studies than it had itself.
    denied
        What the peer was seen to have there, and did not answer; empty when nothing.
    counted_as
        With how many studies it is among the numbers that answers had; None where it is not.
    brought
        How many studies its parts brought, and whether that was reckoned by their dates; None
        when it has to be reckoned anew.
    """

    key: int
    query: StudyQuery
    parent: "Node | None"
    by: str = ""
    children: list["Node"] = field(default_factory=list)
    answer: Heard | None = None
    attempts: int = 0
    asked_on: datetime | None = None
    expected: int = 0
    silent: bool = False
    hidden: bool = False
    stuck: bool = False
    unsampled: bool = False
    aside: bool = False
    short: bool = False
    denied: str = ""
    last: bool = True
    standing: WindowState | None = None
    counted_as: int | None = None
    brought: tuple[bool, int] | None = None

    @property
    def size(self) -> int:
        """How many distinct studies its answer had; 0 without an answer to the end."""
        return self.answer.size if self.answer is not None and self.answer.answered else 0

    @property
    def is_zero(self) -> bool:
        """Whether the peer answered, and with nothing."""
        return self.answer is not None and self.answer.answered and not self.answer.answers

    @property
    def days(self) -> int | None:
        """How many days it has; None when it is open at an end."""
        return self.query.window.days

    @property
    def lacks(self) -> bool:
        """Whether fewer studies came than the peer is known to have."""
        answer = self.answer
        return answer is not None and answer.answered and answer.at_most < self.expected

    @property
    def of_dates(self) -> bool:
        """Whether it is a range of dates that no further key restricts."""
        return self.all_day and self.by in {"", "dates"}

    @property
    def is_along_axis(self) -> bool:
        """Whether it is a part of a window that neither dates nor times split."""
        return self.by not in {"", "dates", "times", "undated"} and not self.aside

    @property
    def all_day(self) -> bool:
        """Whether it is a range of dates, not of times in one day and not the undated ones."""
        return self.query.window.first is None and not self.query.window.undated

    @property
    def top(self) -> "Node":
        """The window of the plan that it is a part of, or is."""
        node = self
        while node.parent is not None:
            node = node.parent
        return node

    def take(self, answer: Heard) -> None:
        """Take the answer to it: what it is a part of has another sum."""
        self.answer = answer
        if not self.children:
            self.asked_on = answer.asked_on
        for one in (self, *self.above()):
            one.brought = None

    def counted(self) -> int:
        """Return how many studies it is known to hold: those of its parts, where it has parts."""
        own = self.answer.matches if self.answer is not None else 0
        return max(own, sum(child.counted() for child in self.children)) if self.children else own

    def above(self) -> "list[Node]":
        """Return the windows that it is a part of, the nearest first."""
        found = []
        node = self.parent
        while node is not None:
            found.append(node)
            node = node.parent
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question to put.

    Attributes
    ----------
    node
        The window.
    attempt
        Counts from 1, those that the peer has not answered: before a later one, give it time.
    """

    node: Node
    attempt: int = 1

    @property
    def query(self) -> StudyQuery:
        """The question."""
        return self.node.query


Steps = Generator[Ask, Heard, None]
"""Questions out, answers in."""
