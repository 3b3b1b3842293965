"""What one question to a peer brings: counted while it comes, and told when it has ended."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from node.dicom.query import StudyQuery
from node.ops.finding.answers.digests import Digests
from node.ops.finding.answers.recording import AnswerRecorder
from node.ops.finding.planning.tree import Heard, WindowOutcome
from node.ops.finding.report import WindowResult
from schema import AsyncSession
from schema.finding.answer import StudyAnswer

_MIDNIGHT = datetime.min.time()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCounts:
    """Studies that are recorded, but for those that the find had met before."""

    found: int = 0
    new: int = 0
    changed: int = 0

    def __add__(self, more: "FoundCounts") -> "FoundCounts":
        return FoundCounts(
            found=self.found + more.found,
            new=self.new + more.new,
            changed=self.changed + more.changed,
        )


@dataclass(slots=True)
class Brought:
    """What one question brought so far.

    Attributes
    ----------
    kept
        What is recorded of it.
    named
        The studies of all answers.
    matches, outside
        Those of them that were asked for, as the first answer of each says, and the others.
    study_uids
        Those that were asked for, where that was by other keys than dates and times.
    repeated
        Answers about studies that an earlier one was about, each of which counts once.
    last
        The last answer that was asked for.
    latest
        The latest study date of those that were asked for, and are of a time after midnight.
    """

    kept: FoundCounts = field(default_factory=FoundCounts)
    answers: int = 0
    matches: int = 0
    outside: int = 0
    undecodable: int = 0
    undated: int = 0
    untimed: int = 0
    status: int | None = None
    comment: str = ""
    named: Digests = field(default_factory=Digests)
    study_uids: set[str] = field(default_factory=set)
    repeated: Digests = field(default_factory=Digests)
    last: StudyAnswer | None = None
    latest: date | None = None

    def count(self, answer: StudyAnswer, *, wanted: bool, named: bool) -> None:
        """Count the first answer about a study.

        Parameters
        ----------
        wanted
            Whether it was asked for.
        named
            Whether that was by other keys than dates and times.
        """
        if not wanted:
            self.outside += 1
            return
        self.matches += 1
        if answer.study_date is None:
            self.undated += 1
        else:
            day = answer.study_date.date()
            moment = answer.study_time  # midnight is no later than where some peers end a range
            if moment is not None and moment > _MIDNIGHT:
                self.latest = max(day, self.latest or day)
        self.untimed += answer.study_time is None
        if named:
            self.study_uids.add(answer.study_uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questioned:
    """A question that was put.

    Attributes
    ----------
    seconds
        How long the peer took.
    """

    result: WindowResult
    answer: Heard
    tally: Brought
    seconds: float = 0.0


WindowRow = Callable[[AsyncSession, Questioned], Awaitable[None]]
"""Writes what a question came to, in a transaction that may be run several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question that the peer has come to the end of; the last answers are still to be recorded.

    Attributes
    ----------
    outcome, message, retry
        See `Heard`.
    ended
        Whether the peer has ended the association before the answer did.
    recorder
        Has the last of its answers.
    """

    query: StudyQuery
    outcome: WindowOutcome
    asked_on: datetime
    message: str = ""
    retry: bool = True
    lost: bool = False
    tally: Brought = field(default_factory=Brought)
    seconds: float = 0.0
    ended: bool = False
    recorder: AnswerRecorder

    @property
    def heard(self) -> Heard:
        """What is known by now: the database may refuse an answer while they are recorded."""
        tally = self.tally
        return Heard(
            outcome=self.outcome,
            asked_on=self.asked_on,
            matches=tally.matches,
            outside=tally.outside,
            answers=tally.answers,
            undated=tally.undated,
            untimed=tally.untimed,
            latest=tally.latest,
            message=self.message,
            retry=self.retry,
            nameless=tally.undecodable,
            lost=self.lost,
        )

    async def recorded(self, row: WindowRow | None = None) -> Questioned:
        """Record the last of the answers; return what the question came to.

        Parameters
        ----------
        row
            Writes the window's row together with them.
        """
        await self.recorder.finish(
            None if row is None else lambda session: row(session, self._end())
        )
        return self._end()

    def _end(self) -> Questioned:
        heard, tally = self.heard, self.tally
        flawed = heard.answered and heard.nameless
        result = WindowResult(
            query=self.query,
            outcome=WindowOutcome.FAILED if flawed else heard.outcome,
            message=heard.flaw if flawed else heard.message,
            found=tally.kept.found,
            new=tally.kept.new,
            changed=tally.kept.changed,
            outside=0 if self.query.window.undated else tally.outside,  # it named no date
            put=not self.lost,
        )
        return Questioned(result=result, answer=heard, tally=tally, seconds=self.seconds)
