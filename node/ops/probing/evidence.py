"""What a probe has seen so far, and what it has concluded from it."""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeVar

from node.dicom.query import Window
from node.ops.probing.facts import Fact
from node.ops.probing.questions import ProbeAnswer, ProbeOutcome, ProbeQuestion, SeenStudy

Result = TypeVar("Result")
Asks = Generator[ProbeQuestion, ProbeAnswer, Result]
"""Questions to put one after the other; at the end, what they came to."""

QUESTIONS = 60
"""The most that one probe may ask."""

_OF_A_FLOOD = 100
"""Studies that are listened to once it was seen that an answer may have no end."""


class OutOfQuestions(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """No more may be asked."""


@dataclass(slots=True)
class Evidence:
    """All that was asked of a peer in a probe, and all that is known by it.

    Attributes
    ----------
    today
        The last day that can have studies.
    now
        When the last answer ended, in UTC.
    used
        How many questions were asked, those that were repeated included.
    heard
        The questions and their answers.
    studies
        Every study that was seen, by its UID.
    patience
        How often a question that is refused is asked again.
    moody
        Whether that was of use.
    facts
        What is known, and what is known not to be known, by name.
    """

    today: date
    now: datetime
    used: int = 0
    heard: list[tuple[ProbeQuestion, ProbeAnswer]] = field(default_factory=list)
    studies: dict[str, SeenStudy] = field(default_factory=dict)
    patience: int = 2
    moody: bool = False
    facts: dict[str, Fact] = field(default_factory=dict)

    def ask(self, question: ProbeQuestion) -> Asks[ProbeAnswer]:
        """Ask, and remember what came; again where the peer refuses what it answers later.

        Raises
        ------
        OutOfQuestions
            It might be one too many, as one may have to be asked twice.
        """
        if self.used + 2 > QUESTIONS:
            raise OutOfQuestions
        if self.flooded:
            question = replace(question, enough=_OF_A_FLOOD)
        answer = yield question
        self.used += answer.attempts
        again = 0
        while answer.outcome is ProbeOutcome.REFUSED and self.used + 2 <= QUESTIONS:
            if again >= self.patience and (again or answer.fresh):
                break
            again += 1
            answer = yield question
            self.used += answer.attempts
        if again and answer.outcome is not ProbeOutcome.REFUSED:
            self.moody = True
        elif again and not self.moody:
            self.patience = 0  # it means what it says
        self.now = answer.answered_on
        self.heard.append((question, answer))
        self.studies.update((study.uid, study) for study in answer.studies)
        return answer

    def prove(self, name: str, value: Any, how: str) -> None:  # noqa: ANN401 - what JSON has
        """State a fact."""
        self.facts[name] = Fact(value=value, how=how, learned_on=self.now)

    def leave(self, *names: str, why: str) -> None:
        """Say why something is not known; what is known stays."""
        for name in names:
            self.facts.setdefault(name, Fact(value=None, how=why, learned_on=self.now))

    def value(self, name: str) -> Any:  # noqa: ANN401
        """Return the value of a fact; None where it is not known."""
        return self.facts[name].value if name in self.facts else None

    def known_in(self, window: Window) -> frozenset[str]:
        """Return the studies that were seen with a date inside a window."""
        return frozenset(
            study.uid
            for study in self.studies.values()
            if study.day is not None and window.contains(study.day)
        )

    def outside(self) -> list[SeenStudy]:
        """Return the answers whose date is not the one that was asked for."""
        return [
            study
            for question, answer in self.heard
            for study in answer.studies
            if study.day is not None and not question.window.contains(study.day)
        ]

    @property
    def flooded(self) -> bool:
        """Whether an answer had to be cut short."""
        return any(answer.stopped for _, answer in self.heard)

    @property
    def largest(self) -> int:
        """The most studies that one answer had."""
        return max((len(answer.studies) for _, answer in self.heard), default=0)


def why_not(answer: ProbeAnswer) -> str:
    """Say why nothing can be concluded from an answer."""
    if answer.outcome is ProbeOutcome.FAILED:
        return f"it did not answer: {answer.message}"
    if answer.stopped:
        return "its answer had to be cut short"
    return f"it refused the question: {answer.message}"
