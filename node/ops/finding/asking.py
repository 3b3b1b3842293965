"""Putting one question to a peer: each answer is held against it, and recorded as it comes."""

import logging
import time
from collections.abc import Callable, Sequence

from node.dicom.query import StudyQuery, matches, more_keys, study_identifier
from node.dicom.status import Status
from node.errors import AssociationLost, PeerFailure, PeerStalled
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.finding.answers.brought import Answered, Brought, FoundCounts
from node.ops.finding.answers.reading import answer_of
from node.ops.finding.answers.recording import Also, AnswerRecorder, in_short
from node.ops.finding.operations import OperationLimit
from node.ops.finding.planning.tree import WindowOutcome
from node.ops.guarding.slots import others_wait
from node.ops.line import QueryLine, Questionable, query_line
from node.ops.stalls import TimeLimits, limited
from schema import AsyncSession, Database, record_found
from schema.errors import InvalidDicom, ValuesRefused
from schema.finding.answer import StudyAnswer
from schema.project.entries import add_known_studies
from schema.tables.columns import utcnow
from schema.text.words import counted

log = logging.getLogger(__name__)


class Questioner:
    """Puts questions to one peer, over one association that is made again when it is lost.

    Parameters
    ----------
    limits
        Of each question: how long it may take without a study that is new in its answer, and
        in all.
    keywords
        Attributes to ask for, and to record, beside those that the tables have columns for.
    operations
        How many questions the peer takes over one association; 0 is any number, None is not known.

    Attributes
    ----------
    project_id
        The key of a project to which the studies that are found are added.
    line
        What is asked over.
    began
        When the find began (naive UTC): what is recorded as seen since then, it has met.
    """

    def __init__(
        self,
        database: Database,
        peer: Peer | WebPeer,
        limits: TimeLimits,
        *,
        project_id: int | None = None,
        keywords: Sequence[str] = (),
        operations: int | None = None,
    ) -> None:
        self.database = database
        self.peer = peer
        self.line: QueryLine = query_line(peer)
        self._limits = limits
        self._operations = OperationLimit(operations)
        self.project_id = project_id
        self._keywords = more_keys(keywords)
        self._recorder: AnswerRecorder | None = None
        self.began = utcnow()
        self._undecodable = 0

    async def ask(self, query: StudyQuery, *, within: StudyQuery | None = None) -> Answered:
        """Put a question; once more where it may have been one too many over its association.

        Its answers are recorded as they come, the last of them by `Answered.recorded`, while the
        next question may be put, whose answers are recorded after these.

        Parameters
        ----------
        within
            What the whole find is for: a study that belongs to it is recorded though this
            question was not about it.

        Raises
        ------
        PeerUnreachable, PeerRefused
            No association was possible.
        """
        operations = self._operations
        asked = await self._put(query, within)
        if asked.heard.answered:
            operations.answered()
        elif not asked.tally.answers and operations.may_be_the_reason:
            used = operations.used
            await self.line.close()
            asked = await self._put(query, within)
            operations.tried_anew(used, helped=asked.heard.answered)
        return asked

    async def _put(self, query: StudyQuery, within: StudyQuery | None) -> Answered:
        """Put a question."""
        tally = Brought()
        outcome, message, retry, ended = WindowOutcome.COMPLETE, "", True, False
        asked_on = utcnow()
        began = time.monotonic()
        if self._operations.used_up or await others_wait(self.peer.name):
            await self.line.close()
        if not self.line.is_open:
            self._operations.begin()
        association = await self.line.get()
        self._operations.put()
        what = f"the {self.line.operation} at {self.peer.name}"
        recorder = self.recorder(tally)
        try:
            # the limits are for the peer: what has come is recorded, at any pace of ours
            async with limited(what, self._limits) as progressed:
                await self._take(
                    association, query, within, tally, recorder=recorder, progressed=progressed
                )
            tally.status = Status.SUCCESS
        except AssociationLost as error:
            await self.line.abort()
            log.warning("Window %s: %s", query.window, error)
            outcome, message, ended = WindowOutcome.FAILED, str(error), True
        except PeerStalled as error:  # a second time would take as long
            await self.line.abort()
            outcome, message, retry = WindowOutcome.FAILED, str(error), False
        except PeerFailure as error:
            tally.status, tally.comment = error.status, error.comment
            outcome, message = WindowOutcome.REFUSED, str(error)
            if error.status == Status.RESPONSE_LIMIT:
                outcome = WindowOutcome.TRUNCATED
        except BaseException:
            await in_short(recorder.finish())
            raise
        return Answered(
            query=query,
            outcome=outcome,
            asked_on=asked_on,
            message=message,
            retry=retry,
            tally=tally,
            seconds=time.monotonic() - began,
            recorder=recorder,
            ended=ended,
        )

    def tell_undecodable(self) -> None:
        """Log how many answers could not be read in all, where that is not known yet."""
        if self._undecodable > 1:
            many = counted(self._undecodable, "answer")
            log.warning("%s of %s could not be read", many, self.peer.name)

    def recorder(self, tally: Brought) -> AnswerRecorder:
        """Return what records the answers to the next question, after those to the last one."""
        self._recorder = AnswerRecorder(
            lambda answers, also: self._keep(answers, tally, also), self._recorder
        )
        return self._recorder

    async def _take(
        self,
        association: Questionable,
        query: StudyQuery,
        within: StudyQuery | None,
        tally: Brought,
        *,
        recorder: AnswerRecorder,
        progressed: Callable[[], None],
    ) -> None:
        """Record the answers to one question, those before a failure included."""
        identifier = study_identifier(query, query.window, self._keywords)
        async for match in association.matches(identifier):
            tally.answers += 1
            try:
                answer = await answer_of(match, self._keywords)
            except InvalidDicom as error:
                if not self._undecodable:  # of many, one is enough to know
                    log.warning("Window %s: undecodable answer: %s", query.window, error)
                self._undecodable += 1
                tally.undecodable += 1
                continue
            wanted = matches(query, query.window, answer)
            kept = wanted or (within is not None and matches(within, within.window, answer))
            if tally.named.add(answer.study_uid):
                progressed()  # a peer can say the same for ever
                tally.count(answer, wanted=wanted, named=query.by_keys)
            elif not tally.repeated.add(repr(answer)):
                continue
            if wanted:
                tally.last = answer
            if kept:
                await recorder.add(answer)

    async def _keep(
        self, answers: Sequence[StudyAnswer], tally: Brought, also: Also | None = None
    ) -> None:
        """Record answers; one that the database refuses is none, and the others are kept.

        Parameters
        ----------
        also
            Writes something else with them, when they are counted.
        """
        before = tally.kept

        async def record(session: AsyncSession) -> None:
            tally.kept = before + (
                await self._record(session, answers) if answers else FoundCounts()
            )
            if also is not None:
                await also(session)

        try:
            await self.database.run(record)
        except ValuesRefused as error:
            tally.kept = before
            if not answers:
                raise
            if len(answers) > 1 or also is not None:  # one of them is the cause: the others go on
                for answer in answers:
                    await self._keep([answer], tally)
                if also is not None:
                    await self._keep([], tally, also)
                return
            log.warning("A study that %s has cannot be recorded: %s", self.peer.name, error)
            tally.study_uids.discard(answers[0].study_uid)
            tally.matches -= 1
            tally.undecodable += 1

    async def _record(self, session: AsyncSession, answers: Sequence[StudyAnswer]) -> FoundCounts:
        outcomes = await record_found(
            session, answers, peer=self.peer.name, keywords=self._keywords, since=self.began
        )
        if self.project_id is not None:
            await add_known_studies(
                session, self.project_id, [found.study_uid for found in outcomes]
            )
        return FoundCounts(
            found=sum(not found.again for found in outcomes),
            new=sum(found.outcome == "new" for found in outcomes),
            changed=sum(found.outcome == "changed" for found in outcomes),
        )
