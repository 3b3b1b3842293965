"""The retrieval of one study: asked for, settled, judged by the index, and recorded."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from node.dicom.status import Status
from node.errors import AssociationLost, NodeError, PeerFailure, PeerRefused, PeerUnreachable
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.moving.arrivals import Lookout
from node.ops.moving.failures import kind_of, said_of, without_words
from node.ops.moving.listing import Lister
from node.ops.moving.queue import NextStudy
from node.ops.moving.recording import Recorder, attempt_answer
from node.ops.moving.report import MoveWaits, Patience, StudyOutcome, StudyProgress, StudyResult
from node.ops.politeness.pacing import Pacer
from node.ops.receiving.intake import Intake
from node.ops.retrieving.leave import Leave, NotedLeave, unrestrained, with_leave
from node.ops.retrieving.retriever import Retriever
from node.ops.retrieving.wanted import Wanted, what_is_missing
from schema import Database, utcnow
from schema.moves import get_move_states
from schema.moving.attempts import AttemptAnswer, EndedAttempt
from schema.moving.evidence import unlisted
from schema.moving.holding import look_at
from schema.moving.judging import Judged
from schema.moving.listing import Listing
from schema.moving.senders import Senders
from schema.standing.states import StudyState

log = logging.getLogger(__name__)

StudyWatcher = Callable[[StudyProgress | MoveWaits], None]
"""Told where the studies stand."""

_OUTCOMES = {
    StudyState.RETRIEVED: StudyOutcome.COMPLETE,
    StudyState.PARTIAL: StudyOutcome.PARTIAL,
    StudyState.EMPTY: StudyOutcome.EMPTY,
    StudyState.UNWANTED: StudyOutcome.UNWANTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the studies of one move have in common.

    Attributes
    ----------
    peer
        Whom to ask.
    senders
        Who sends for which peer.
    lister
        Asks the peer what it has of them.
    lookout
        Counts their images.
    recorder
        Writes what became of them.
    intake
        Who receives them.
    pacer
        Says when the peer may be asked for them.
    """

    database: Database
    peer: Peer | WebPeer
    senders: Senders
    patience: Patience
    lister: Lister
    lookout: Lookout
    recorder: Recorder
    intake: Intake
    pacer: Pacer
    watch: StudyWatcher


class StudyMove:
    """One study on its way here: `ask`, then `settle`, which may be while others are asked for.

    Parameters
    ----------
    chosen
        Which study of how many this is, and where it stands.

    Attributes
    ----------
    questions_were_in_the_way
        Whether it may have failed because the peer was asked what it has at the same time.
    """

    def __init__(self, means: Means, chosen: NextStudy) -> None:
        self._means = means
        self._chosen = chosen
        self._uid = chosen.place.study_uid
        before = chosen.place.before  # known where it is asked for once more
        self.place = replace(chosen.place, before=chosen.state.images if before is None else before)
        self._listing: Listing | None = None
        self._listed_on: datetime | None = None
        self._here = chosen.here
        self._asked: AttemptAnswer = AttemptAnswer()
        self._error: NodeError | None = None
        self.questions_were_in_the_way = False
        self._before = chosen.state.images
        self._arrived_before: frozenset[Path] = frozenset()
        self._arrivals = means.lookout.watch(self._uid, chosen.state.images)

    @property
    def failed(self) -> bool:
        """Whether the peer did not do what it was asked for."""
        return self._error is not None

    @property
    def error(self) -> NodeError | None:
        """Why not."""
        return self._error

    async def ask(
        self,
        retriever: Retriever,
        *,
        crowded: Callable[[], bool] = lambda: False,
        leave: Leave = unrestrained,
    ) -> bool:
        """Ask the peer for what is missing, until its last response.

        Parameters
        ----------
        retriever
            How, and over which association.
        crowded
            Says whether there is another association, to ask for studies over, at the same time.
        leave
            See `Retriever.ask`.

        False when nothing came of it, and the reason may be that the peer is asked for two at once:
        then it is to be asked again, and nothing is recorded.

        Raises
        ------
        Withheld
            There was no leave, and nothing was asked for: see `forget`.
        """
        means, in_crowd = self._means, crowded()
        self._listing = await self._list(retriever, leave)
        self._listed_on = utcnow()
        if self._arrivals.count != len(self._here.images):
            await self._look()
        self._before = len(self._here.images)
        if (wanted := self._wanted()) is None:  # as it was when it was claimed: a while ago
            await self._hear()
            await self._look()
            wanted = self._wanted()
        self._show()
        if wanted is None:
            return True
        self._arrived_before = frozenset(await means.intake.arrived())
        asked, before = means.lister.asked, self._arrivals.count
        begun = NotedLeave(leave)  # an association may be waited for
        with self._arrivals.telling(self._show):
            answer = await means.pacer.ask(retriever, wanted, self._arrivals, begun)
        means.recorder.answered(self._chosen.attempt_id, begun.on)
        if isinstance(answer.error, PeerFailure | AssociationLost | PeerUnreachable | PeerRefused):
            await means.lookout.look([self._arrivals])
            in_the_way = means.lister.is_in_the_way(answer.error, since=asked)
            nothing = self._arrivals.count == before and not answer.completed
            # whatever else it was asked meanwhile
            nothing &= answer.status != Status.MOVE_DESTINATION_UNKNOWN
            if nothing and (in_the_way or in_crowd or crowded()):
                self.forget()
                self.questions_were_in_the_way = in_the_way
                return False
        self._error = answer.error
        self._asked = attempt_answer(wanted, answer, since=begun.on)
        return True

    async def settle(self) -> Judged | None:
        """Wait for what is on its way; judge the study, and return what it is recorded as.

        None: somebody else has it by now.
        """
        await self._settle()
        judged = await self._means.recorder.record(
            EndedAttempt(
                attempt_id=self._chosen.attempt_id,
                study_uid=self._uid,
                answered=self._asked,
                kind=kind_of(self._error),
                message=said_of(self._error),
                impersonal=said_of(self._error, impersonal=True),
                before=self._before,
                listing=self._listing,
                listed_on=self._listed_on,
            )
        )
        self.forget()
        return None if judged is None or judged.overtaken else judged

    def forget(self) -> None:
        """Count its images no more."""
        self._means.lookout.forget(self._arrivals)

    def tell(self, judged: Judged | None, *, ended: bool = False) -> None:
        """Say what has become of the study; an operator may have ended the attempt."""
        if ended:
            self.forget()
        result = self._result(judged, ended=ended)
        if result.outcome not in {StudyOutcome.COMPLETE, StudyOutcome.SKIPPED}:
            log.warning("Study %s: %s", self._uid, without_words(result.message, self._error))
        self._show(result)

    # What is missing

    async def _list(self, retriever: Retriever, leave: Leave) -> Listing | None:
        listing = self._chosen.listing
        lister = self._means.lister
        if listing is not None and (listing.done() or lister.beside):
            listed = await listing
            if self._uid not in lister.left_out:
                return listed
        work = lister.list_between(self._uid, self._chosen.state, retriever)
        return await with_leave(work, leave)  # it may wait for an association

    async def _hear(self) -> None:
        """Take note of what the peer has said of the study since it was claimed."""
        means = self._means
        async with means.database.session() as session:
            states = await get_move_states(session, [self._uid], peer=means.peer.name)
        self._chosen = replace(self._chosen, state=states[self._uid])

    async def _look(self) -> None:
        """Take note of what is here now."""
        means = self._means
        async with means.database.session() as session:
            held = await look_at(session, [self._uid], peer=means.peer.name, senders=means.senders)
        self._here = held[self._uid]
        self._arrivals.counted(len(self._here.images))

    def _wanted(self) -> Wanted | None:
        state = self._chosen.state
        return what_is_missing(self._uid, self._listing, self._counts, self._here, state)

    @property
    def _counts(self) -> Listing | None:
        """What the peer lists, as far as it is wanted."""
        return None if self._listing is None else self._listing.part(self._means.patience.policy)

    @property
    def _target(self) -> int | None:
        """How many images may be all."""
        if (listing := self._counts) is not None and not listing.short:
            return len(listing.images | self._here.images)
        told = self._chosen.state.told
        return None if told is None else max(told, len(self._here.images))

    async def _is_whole(self) -> bool:
        """Look whether what is expected is here."""
        if self._target is None or self._arrivals.count < self._target:
            return False
        if self._target - self._before == self._asked.completed:
            return True  # as many as it has sent: who judges it looks once more
        await self._look()
        if (listing := self._counts) is not None and not listing.short:
            listed = listing.images <= self._here.images
            last = listing.vouched or not self._is_to_come()
            return listed and last and not unlisted(listing, self._here)
        return len(self._here.sent) >= (self._chosen.state.told or 1)

    def _is_to_come(self) -> bool:
        """Tell whether the peer says that it has sent more than is here: it may not list that."""
        sent = (self._asked.completed or 0) + (self._asked.warning or 0)
        return self._arrivals.count - self._before < sent

    # What is on its way

    async def _settle(self) -> None:
        """Wait for images that are still on their way, from the peer or into the index."""
        intake, arrivals, patience = self._means.intake, self._arrivals, self._means.patience
        loop = asyncio.get_running_loop()
        latest = loop.time() + patience.limits.quiet
        arrivals.touch()
        arrived = frozenset(await intake.arrived()) - self._arrived_before
        self._means.lookout.expect(arrivals, self._target)
        seen = -1
        while True:
            self._show()
            if arrivals.count != seen:  # only what has come since can have made it whole
                seen = arrivals.count
                if self._has_come(seen) or await self._is_whole():
                    return
            if (left := patience.settle - arrivals.quiet_for()) > 0:
                await arrivals.changed(left)
            elif loop.time() < latest and not arrived.isdisjoint(await intake.arrived()):
                arrivals.touch()
            else:
                await self._means.lookout.look([arrivals])
                if arrivals.quiet_for() >= patience.settle:
                    return

    def _has_come(self, count: int) -> bool:
        """Tell whether all that the peer says it has sent is here: there is nothing to wait for."""
        asked = self._asked
        if asked.started_on is None or kind_of(self._error).is_of_the_peer:
            return True  # nothing was asked for
        sent = (asked.completed or 0) + (asked.warning or 0)
        return asked.completed is not None and bool(sent) and count - self._before >= sent

    # What has become of it

    def _result(self, judged: Judged | None, *, ended: bool) -> StudyResult:
        if judged is None:
            outcome = StudyOutcome.SKIPPED
            message = "another node has taken it over while the database was away"
            if ended:
                outcome, message = StudyOutcome.CANCELLED, "an operator has ended it"
            return StudyResult(
                study_uid=self._uid,
                outcome=outcome,
                expected=self._target,
                received=self._arrivals.count,
                arrived=max(0, self._arrivals.count - (self.place.before or 0)),
                message=message,
            )
        verdict = judged.verdict
        said = said_of(self._error)
        message = "" if verdict.complete else "; ".join(filter(None, (verdict.reason, said)))
        failed = _OUTCOMES.get(judged.state, StudyOutcome.FAILED)
        return StudyResult(
            study_uid=self._uid,
            outcome=StudyOutcome.COMPLETE if verdict.complete else failed,
            expected=verdict.expected,
            received=judged.images,
            arrived=max(0, judged.images - (self.place.before or 0)),
            message=message,
        )

    def _show(self, result: StudyResult | None = None) -> None:
        self._means.watch(
            replace(
                self.place,
                received=self._arrivals.count if result is None else result.received,
                expected=self._target if result is None else result.expected,
                result=result,
            )
        )
