"""The retrieval of one study: asked for, settled, judged by the index, and recorded."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from node.errors import AssociationLost, PeerFailure, PeerRefused, PeerStalled, PeerUnreachable
from node.net.messages import Peer
from node.ops.counting.inquiring import ImageInquiry
from node.ops.counting.keeping import count_study, known_count, list_study
from node.ops.moving.arrivals import Lookout
from node.ops.moving.queue import NextStudy
from node.ops.moving.recording import Recorder
from node.ops.moving.report import MoveWaits, Patience, StudyOutcome, StudyProgress, StudyResult
from node.ops.moving.request import Requests
from node.ops.receiving.intake import Intake
from schema import Database, DatabaseUnavailable, image_uids
from schema.engine.claims import Claims
from schema.finding.counting import StudyCount
from schema.finding.verdict import MoveAttempt, MoveState, missing
from schema.moves import claim_of, get_move_states
from schema.tables.columns import utcnow
from schema.tables.models import RETRIEVED
from schema.text.words import counted

log = logging.getLogger(__name__)

StudyWatcher = Callable[[StudyProgress | MoveWaits], None]
"""Told where the studies stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the studies of one move have in common.

    Attributes
    ----------
    peer
        Whom to ask.
    lookout
        Counts their images.
    recorder
        Writes what became of them.
    intake
        Who receives them.
    claims
        Which of them are ours to record.
    queries
        Held by who asks the peer what to expect: not all at once.
    """

    database: Database
    peer: Peer
    patience: Patience
    lookout: Lookout
    recorder: Recorder
    intake: Intake
    claims: Claims
    queries: asyncio.Lock
    watch: StudyWatcher


class StudyMove:
    """One study on its way here: `ask`, then `settle`, which may be while others are asked for.

    Parameters
    ----------
    chosen
        Which study of how many this is, and where it stands.
    """

    def __init__(self, means: Means, chosen: NextStudy) -> None:
        self._means = means
        self._uid = chosen.place.study_uid
        self._seen = chosen.state
        self._expected = _own_count(chosen.state)
        self._place = chosen.place
        self._failure = ""
        self._counted = False
        self._short = ""
        self._arrived_before: frozenset[Path] = frozenset()
        self._arrivals = means.lookout.watch(self._uid, chosen.state.images)

    @property
    def failed(self) -> bool:
        """Whether the peer did not do what it was asked for."""
        return bool(self._failure)

    async def ask(self, requests: Requests, *, crowded: Callable[[], bool] = lambda: False) -> bool:
        """Ask the peer for the study, until its last response; not where all is here already.

        Parameters
        ----------
        requests
            Over which association.
        crowded
            Says whether the peer is asked for another study at the same time.

        Returns
        -------
        bool
            False when nothing came of it, and the reason may be that the peer is asked for two at
            once: then it is to be asked again, and nothing is recorded.

        Raises
        ------
        PeerUnreachable, PeerRefused
            There is no point in asking for others; the attempt is recorded.
        """
        means, before, in_crowd = self._means, self._arrivals.count, crowded()
        try:
            if self._complete:  # so it was when it was claimed, which may be long ago
                await self._look_again()
            if not self._seen.shared and self._seen.said is None:
                await self._count()
            if not self._expected and not self._counted:
                await self._list()
                if self._complete:
                    await means.lookout.look([self._arrivals])
            self._show()
            if not self._complete:
                self._arrived_before = frozenset(await means.intake.arrived())
                with self._arrivals.telling(self._show):
                    await requests.ask(self._arrivals)
        except (
            AssociationLost,
            PeerFailure,
            PeerStalled,
            PeerUnreachable,
            PeerRefused,
        ) as error:
            await means.lookout.look([self._arrivals])
            in_crowd = (in_crowd or crowded()) and not isinstance(error, PeerStalled)
            if in_crowd and self._arrivals.count == before:
                means.lookout.forget(self._arrivals)
                return False
            self._failure = str(error)
            if isinstance(error, PeerUnreachable | PeerRefused):
                await self._end()
                raise
        return True

    async def settle(self) -> StudyResult:
        """Return the verdict, when all is here or nothing comes any more, having recorded it."""
        await self._settle()
        if not self._complete and self._arrivals.count and not self._short:
            try:
                await self._list()
            except (PeerUnreachable, PeerRefused) as error:
                log.info("%s cannot be asked what it has: %s", self._means.peer.name, error)
        if self._seen.shared and not self._expected and self._seen.said and not self._failure:
            self._expected = max(self._seen.said, self._arrivals.count)  # it lists nothing
        return await self._end()

    async def _look_again(self) -> None:
        """Take note of where the study stands now."""
        async with self._means.database.session() as session:
            states = await get_move_states(session, [self._uid], peer=self._means.peer.name)
        self._seen = states[self._uid]
        self._expected = _own_count(self._seen)
        self._arrivals.counted(self._seen.images)

    @property
    def _complete(self) -> bool:
        return bool(self._expected) and self._arrivals.count >= (self._expected or 0)

    async def _settle(self) -> None:
        """Wait for images that are still on their way, from the peer or into the index."""
        intake, arrivals, patience = self._means.intake, self._arrivals, self._means.patience
        loop = asyncio.get_running_loop()
        latest = loop.time() + patience.limits.quiet
        arrivals.touch()
        arrived = frozenset(await intake.arrived()) - self._arrived_before
        self._means.lookout.expect(arrivals, self._expected)
        while not self._complete:
            self._show()
            if (left := patience.settle - arrivals.quiet_for()) > 0:
                await arrivals.changed(left)
            elif loop.time() < latest and not arrived.isdisjoint(await intake.arrived()):
                arrivals.touch()
            else:
                await self._means.lookout.look([arrivals])
                if arrivals.quiet_for() >= patience.settle:
                    return

    async def _count(self) -> None:
        """Learn how many images there are where the peer's answer at study level does not say it.

        While images are here, only a list tells whether they are among the peer's.
        """
        means, patience = self._means, self._means.patience
        known = await known_count(means.database, means.peer.name, self._uid)
        if known is None:
            return
        since = utcnow() - timedelta(seconds=patience.recount)
        if known.count is not None and known.is_fresh(since) and not known.count.short:
            self._expected = self._expected or known.count.images
        elif known.count is not None and not known.count.short:
            self._expected = None  # it was counted, and is not as it was
        if self._expected or self._arrivals.count:
            return
        async with means.queries, ImageInquiry(means.peer, patience.query) as inquiry:
            count = await count_study(means.database, inquiry, self._uid)
        self._counted = True
        if count is not None and count.short:
            self._say_short(count)
        elif count is not None:
            self._expected = count.images

    def _say_short(self, count: StudyCount) -> None:
        least = counted(count.images, "image")
        self._short = f"{self._means.peer.name} {count.short}: it has at least {least}"

    async def _list(self) -> None:
        """Replace the study's own count by the peer's list of images, where it has one."""
        means = self._means
        async with means.queries, ImageInquiry(means.peer, means.patience.query) as inquiry:
            listed = await list_study(means.database, inquiry, self._uid)
        if listed is None:
            return
        if listed.count.short:
            self._say_short(listed.count)
            return
        if self._seen.shared and not listed.vouched and len(listed.images) < (self._seen.said or 0):
            return  # cut off
        async with means.database.session() as session:
            have = await image_uids(session, self._uid)
        # images that the peer does not list any more are here all the same
        expected = len(listed.images | have)
        if not self._expected or expected >= self._expected or listed.vouched:
            self._expected = expected

    async def _end(self) -> StudyResult:
        result = self._verdict()
        self._means.lookout.forget(self._arrivals)
        if result.outcome is StudyOutcome.COMPLETE or await self._is_ours():
            result = await self._record(result)
        else:
            result = replace(
                result,
                outcome=StudyOutcome.SKIPPED,
                message="another node has taken it over while the database was away",
            )
        self._show(result)
        return result

    async def _is_ours(self) -> bool:
        """Tell whether nobody else has taken the study over meanwhile."""
        claims, claim = self._means.claims, claim_of(self._uid)
        try:
            return await claims.confirm(claim)
        except DatabaseUnavailable:  # what that means for the move, the recording decides
            return claims.holds(claim)

    def _verdict(self) -> StudyResult:
        received, expected, failure = self._arrivals.count, self._expected, self._failure
        message = failure
        if self._complete:
            outcome, message = StudyOutcome.COMPLETE, ""
        elif received:
            outcome = StudyOutcome.PARTIAL
        else:
            outcome = StudyOutcome.FAILED if failure else StudyOutcome.EMPTY
        if outcome is not StudyOutcome.COMPLETE:
            lack = (
                missing(received, expected)
                if expected
                else self._short
                or f"{self._means.peer.name} does not say how many images the study has"
            )
            message = f"{lack}; {failure}" if failure else lack
        return StudyResult(
            study_uid=self._uid,
            outcome=outcome,
            expected=expected,
            received=received,
            message=message,
        )

    async def _record(self, result: StudyResult) -> StudyResult:
        """Return what the study is recorded as: what has changed meanwhile counts."""
        attempt = MoveAttempt(
            study_uid=self._uid, state=RETRIEVED, expected_images=result.expected, seen=self._seen
        )
        if result.outcome is not StudyOutcome.COMPLETE:
            attempt = replace(
                attempt,
                state=result.outcome.value,
                error=result.message,
                next_attempt_on=self._means.patience.next_attempt(self._seen.attempts, utcnow()),
            )
        if (lack := await self._means.recorder.record(attempt)) is not None:
            result = replace(
                result,
                outcome=StudyOutcome.PARTIAL,
                expected=lack.expected,
                received=lack.images,
                message=lack.reason,
            )
        if result.outcome is not StudyOutcome.COMPLETE:
            log.warning("Study %s: %s", self._uid, result.message)
        return result

    def _show(self, result: StudyResult | None = None) -> None:
        self._means.watch(
            replace(
                self._place,
                received=self._arrivals.count,
                expected=self._expected,
                result=result,
            )
        )


def _own_count(state: MoveState) -> int | None:
    """Return how many images there should be by what the study itself says.

    Of a study that others have as well, the count of what is here says nothing of this peer.
    """
    return None if state.shared else state.expected
