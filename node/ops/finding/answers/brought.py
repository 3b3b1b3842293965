"""What one question to a peer brings: counted while it comes, and told when it has ended."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime

from node.dicom.query import StudyQuery
from node.ops.finding.answers.digests import Digests
from node.ops.finding.planning.tree import Heard, WindowOutcome
from node.ops.finding.report import WindowResult
from schema.finding.answer import StudyAnswer

_MIDNIGHT = datetime.min.time()


@dataclass(slots=True)
class Brought:
    """What one question brought so far.

    Attributes
    ----------
    found, new, changed
        Studies that are recorded, but for those that the find had met before.
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

    found: int = 0
    new: int = 0
    changed: int = 0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question that the peer has come to the end of; the last of its answers are being recorded.

    Attributes
    ----------
    outcome, message, retry
        See `Heard`.
    ended
        Whether the peer has ended the association before the answer did.
    recording
        Done when all is recorded; None when nothing is to be.
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
    recording: asyncio.Task[None] | None = None

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

    async def recorded(self) -> Questioned:
        """Wait until all is recorded; return what the question came to."""
        if self.recording is not None:
            await self.recording
        heard, tally = self.heard, self.tally
        flawed = heard.answered and heard.nameless
        result = WindowResult(
            query=self.query,
            outcome=WindowOutcome.FAILED if flawed else heard.outcome,
            message=heard.flaw if flawed else heard.message,
            found=tally.found,
            new=tally.new,
            changed=tally.changed,
            outside=tally.outside,
            put=not self.lost,
        )
        return Questioned(result=result, answer=heard, tally=tally, seconds=self.seconds)
