"""Move: ask a peer to send us the studies that we do not have, until each is complete.

`retrieved_on` means verified complete. The peer's word is not evidence: after its last
response, images may still be on their way, and its Success may hide that some never left.
So each study is judged by the index: against its own counts, and where these say that
something is missing, against the peer's list of the study's images.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from node.dicom.query import study_move_identifier
from node.dicom.status import Status
from node.errors import AssociationLost, PeerFailure, PeerRefused, PeerUnreachable
from node.net.categories import describe
from node.net.dimse.contexts import Service
from node.net.messages import MoveProgress, Peer
from node.net.scu.requestor import associate
from node.ops.cycles import cycle
from node.ops.moving.arrivals import Arrivals, watching
from node.ops.moving.expectation import images_at
from node.ops.moving.report import (
    MoveReport,
    Patience,
    StudyOutcome,
    StudyProgress,
    StudyResult,
)
from schema import Database, StudyFind, image_uids, update_retrieved_study
from schema.moves import record_move_attempt
from schema.tables.columns import utcnow

log = logging.getLogger(__name__)

StudyWatcher = Callable[[StudyProgress], None]
"""Told where a study stands."""

_A_DAY = 86400.0


def nothing() -> Collection[Path]:
    """Return nothing: another process receives, and only the index tells what is there."""
    return ()


async def move(
    database: Database,
    peer: Peer,
    studies: list[StudyFind],
    *,
    destination: str,
    patience: Patience,
    watch: StudyWatcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
    indexing: Callable[[], Collection[Path]] = nothing,
) -> MoveReport:
    """Ask a peer for studies, one after the other.

    Somebody has to receive meanwhile: this process or another one with the same database.

    Parameters
    ----------
    studies
        Rows of `studies_find`, in the order in which to ask for them.
    destination
        Our AE title, as the peer knows it.
    watch
        Called about twice a second, and when a study is done.
    proceed
        Asked before each study; when it says no, the rest is left for another time.
    indexing
        What has arrived and is being indexed, as far as this process receives: a study is not
        judged before that is done.

    Raises
    ------
    PeerUnreachable, PeerRefused
        There is no point in asking for the remaining studies: the peer cannot be reached,
        refuses us, or does not know the destination.
    """
    results: list[StudyResult] = []

    def report() -> MoveReport:
        left = len(studies) - len(results)
        return MoveReport(peer=peer.name, results=tuple(results), left=left)

    async with cycle(database, "move", peer=peer.name, node=destination) as record:
        try:
            for number, study in enumerate(studies, 1):
                if not proceed():
                    break
                place = StudyProgress(
                    study_uid=study.study_uid or "",
                    study=number,
                    studies=len(studies),
                    received=0,
                    expected=study.expected_images,
                )
                one = _StudyMove(
                    database=database,
                    peer=peer,
                    study=study,
                    destination=destination,
                    patience=patience,
                    place=place,
                    watch=watch,
                    indexing=indexing,
                )
                results.append(await one.run())
        finally:
            record.counts = report().counts()
            record.partial = bool(report().incomplete)
    return report()


class _StudyMove:
    """The retrieval of one study, from the first look into the index to the verdict."""

    def __init__(
        self,
        *,
        database: Database,
        peer: Peer,
        study: StudyFind,
        destination: str,
        patience: Patience,
        place: StudyProgress,
        watch: StudyWatcher,
        indexing: Callable[[], Collection[Path]],
    ) -> None:
        self._database = database
        self._peer = peer
        self._uid = study.study_uid or ""
        self._attempts = study.attempts or 0
        self._expected = study.expected_images
        self._destination = destination
        self._patience = patience
        self._place = place
        self._watch = watch
        self._indexing = indexing
        self._arrivals = Arrivals(database, self._uid)

    async def run(self) -> StudyResult:
        """Return the verdict, having recorded it."""
        try:
            result = await self._retrieve()
        except (PeerUnreachable, PeerRefused) as error:
            received = await self._arrivals.look()
            await self._record(self._verdict(received, str(error), failed=True))
            raise
        await self._record(result)
        self._show(result.received, result)
        return result

    async def _retrieve(self) -> StudyResult:
        if not self._expected:
            await self._ask_what_to_expect()
        if await self._complete():
            return self._verdict(self._arrivals.count, "")
        failure = ""
        try:
            await self._ask()
        except (AssociationLost, PeerFailure) as error:
            failure = str(error)
        except TimeoutError:
            failure = (
                f"neither a response nor an image came from {self._peer.name} for "
                f"{self._patience.timeout:g} s"
            )
        await self._settle()
        if not await self._complete() and self._arrivals.count:
            await self._ask_what_to_expect()
        complete = await self._complete()
        return self._verdict(
            self._arrivals.count, "" if complete else failure, failed=bool(failure)
        )

    async def _complete(self) -> bool:
        received = await self._arrivals.look()
        self._show(received)
        return bool(self._expected) and received >= (self._expected or 0)

    async def _ask_what_to_expect(self) -> None:
        """Replace the study's own count by the peer's list of images, where it has one."""
        listed = await images_at(self._peer, self._uid)
        if listed is None:
            return
        async with self._database.session() as session:
            have = await image_uids(session, self._uid)
        # images that the peer does not list any more are here all the same
        expected = len(listed.images | have)
        if not self._expected or expected >= self._expected or listed.vouched:
            self._expected = expected

    async def _ask(self) -> None:
        """C-MOVE, until the last response, or until nothing has happened for too long."""
        identifier = study_move_identifier(self._uid)
        patience = self._patience.timeout
        last: MoveProgress | None = None
        # A peer may be silent for as long as its images arrive: `watching` is the deadline.
        async with (
            associate(self._peer, Service.MOVE, response_timeout=_A_DAY) as association,
            watching(self._arrivals, patience, self._show),
        ):
            async for response in association.move(identifier, self._destination):
                last = response
                self._arrivals.touch()
        if last is not None and last.status != Status.SUCCESS:
            self._judge(last)

    def _judge(self, last: MoveProgress) -> None:
        said = f": {last.comment.strip()}" if last.comment.strip() else ""
        answer = f"{self._peer.name} answered the C-MOVE with {describe(last.status)}{said}"
        if last.status == Status.MOVE_DESTINATION_UNKNOWN:
            raise PeerRefused(
                f"{answer}; it has to know the AE title {self._destination} and this node's "
                "address and port as a destination"
            )
        raise PeerFailure(answer, status=last.status)

    async def _settle(self) -> None:
        """Wait for images that are still on their way, from the peer or into the index."""
        self._arrivals.touch()
        arrived = frozenset(self._indexing())
        latest = time.monotonic() + self._patience.timeout
        while not await self._complete():
            if not arrived.isdisjoint(self._indexing()) and time.monotonic() < latest:
                self._arrivals.touch()
            elif self._arrivals.quiet_for() >= self._patience.settle:
                return
            await asyncio.sleep(min(0.2, self._patience.settle / 5))

    def _show(self, received: int, result: StudyResult | None = None) -> None:
        self._watch(replace(self._place, received=received, expected=self._expected, result=result))

    def _verdict(self, received: int, failure: str, *, failed: bool = False) -> StudyResult:
        expected = self._expected
        message = failure
        if expected and received >= expected:
            outcome, message = StudyOutcome.COMPLETE, ""
        elif received:
            outcome = StudyOutcome.PARTIAL
        else:
            outcome = StudyOutcome.FAILED if failed else StudyOutcome.EMPTY
        if outcome is not StudyOutcome.COMPLETE:
            lack = (
                f"{expected - received} of {expected} images are missing"
                if expected
                else f"{self._peer.name} does not say how many images the study has"
            )
            message = f"{lack}; {failure}" if failure else lack
        return StudyResult(
            study_uid=self._uid,
            outcome=outcome,
            expected=expected,
            received=received,
            message=message,
        )

    async def _record(self, result: StudyResult) -> None:
        async with self._database.begin() as session:
            if result.outcome is StudyOutcome.COMPLETE:
                await record_move_attempt(
                    session, self._uid, state="retrieved", expected_images=result.expected
                )
                await update_retrieved_study(session, self._uid)
            else:
                await record_move_attempt(
                    session,
                    self._uid,
                    state=result.outcome.value,
                    error=result.message,
                    next_attempt_on=self._patience.next_attempt(self._attempts, utcnow()),
                    expected_images=result.expected,
                )
        if result.outcome is not StudyOutcome.COMPLETE:
            log.warning("Study %s: %s", self._uid, result.message)
