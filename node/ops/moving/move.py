"""Move: ask a peer to send us the studies that we do not have, until each is complete.

`retrieved_on` means verified complete. The peer's word is not evidence: after its last
response, images may still be on their way, and its Success may hide that some never left.
So each study is judged by the index: against its own counts, and where these say that
something is missing, against the peer's list of the study's images.

Studies are asked for one after the other. What was asked for settles while the next ones are asked
for: nobody waits for images that do not come.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from node.errors import PeerRefused, PeerUnreachable
from node.net.messages import Peer
from node.ops.cycles import RunningCycle, cycle
from node.ops.moving.arrivals import looking
from node.ops.moving.report import (
    MoveReport,
    MoveWaits,
    Patience,
    StudyOutcome,
    StudyProgress,
    StudyResult,
)
from node.ops.moving.request import Requests
from node.ops.moving.study import Means, StudyMove, StudyWatcher
from node.ops.receiving.intake import Intake
from schema import Database, SchemaError, StudyFind
from schema.cycles import note_cycle
from schema.engine.claims import claiming
from schema.moves import claim_of, get_move_state

log = logging.getLogger(__name__)

_LOOK_AT_GATE = 0.5
"""Seconds from one look to the next whether images are taken again."""


async def move(
    database: Database,
    peer: Peer,
    studies: list[StudyFind],
    *,
    destination: str,
    patience: Patience,
    intake: Intake,
    watch: StudyWatcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
) -> MoveReport:
    """Ask a peer for studies, one after the other.

    Parameters
    ----------
    studies
        Rows of `studies_find`, in the order in which to ask for them.
    destination
        Our AE title, as the peer knows it.
    intake
        Who receives them meanwhile: before each study it is asked whether anything is taken, and
        while nothing is, the rest waits.
    watch
        Called as images come, when a study is done, and when it has to be waited.
    proceed
        Asked before each study; when it says no, the rest is left for another time.

    Raises
    ------
    PeerUnreachable, PeerRefused
        There is no point in asking for the remaining studies: the peer cannot be reached,
        refuses us, or does not know the destination.
    """
    results: dict[int, StudyResult] = {}

    def report() -> MoveReport:
        done = tuple(results[number] for number in sorted(results))
        return MoveReport(peer=peer.name, results=done, left=len(studies) - len(done))

    async with cycle(database, "move", peer=peer.name, node=destination) as record:
        try:
            async with (
                claiming(database) as claims,
                looking(database, intake) as lookout,
                Requests(peer, destination=destination, limits=patience.limits) as requests,
            ):
                means = Means(
                    database=database,
                    peer=peer,
                    patience=patience,
                    requests=requests,
                    lookout=lookout,
                    intake=intake,
                    claims=claims,
                    queries=asyncio.Lock(),
                    watch=watch,
                )
                await _Mover(means, record, proceed, results).run(studies)
        finally:
            record.counts = report().counts()
            record.partial = bool(report().incomplete)
    return report()


class _Mover:
    """Asks for the studies in turn, and lets each settle by itself.

    Parameters
    ----------
    results
        Takes the result of each study, by its number.
    """

    def __init__(
        self,
        means: Means,
        record: RunningCycle,
        proceed: Callable[[], bool],
        results: dict[int, StudyResult],
    ) -> None:
        self._means = means
        self._record = record
        self._proceed = proceed
        self._results = results

    async def run(self, studies: list[StudyFind]) -> None:
        """Return when each that was asked for has its result.

        Raises
        ------
        PeerUnreachable, PeerRefused
            Those that were asked for before have their results all the same.
        """
        refused: PeerUnreachable | PeerRefused | None = None
        try:
            async with asyncio.TaskGroup() as settling:
                try:
                    for number, study in enumerate(studies, 1):
                        if not await self._may_ask():
                            break
                        place = StudyProgress(
                            study_uid=study.study_uid or "",
                            study=number,
                            studies=len(studies),
                            received=0,
                            expected=study.expected_images,
                        )
                        if (one := await self._claimed(study, place)) is not None:
                            await one.ask()
                            settling.create_task(self._settle(one, place), name="settle a study")
                except (PeerUnreachable, PeerRefused) as error:
                    refused = error
                await self._means.requests.close()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if refused is not None:
            raise refused

    async def _may_ask(self) -> bool:
        """Wait while nothing is taken; say whether the next study is to be asked for at all."""
        waits = False
        while await self._record.may_go_on(self._means.requests.close) and self._proceed():
            reason = await self._means.intake.closed()
            if (reason is not None) != waits:
                waits = reason is not None
                await self._say(reason)
            if reason is None:
                return True
            await asyncio.sleep(_LOOK_AT_GATE)
        return False

    async def _say(self, reason: str | None) -> None:
        """Say why it has to be waited, or that it goes on."""
        if reason is not None:
            await self._means.requests.close()  # nobody knows for how long
        self._means.watch(MoveWaits(peer=self._means.peer.name, reason=reason))
        try:
            async with self._means.database.begin() as session:
                await note_cycle(
                    session, self._record.id, None if reason is None else f"waiting: {reason}"
                )
        except SchemaError as error:  # the disk may be the database's as well
            log.warning("What the move waits for is not recorded: %s", error)

    async def _claimed(self, study: StudyFind, place: StudyProgress) -> StudyMove | None:
        """Return a study that is ours to move; None when it is or was another node's."""
        means = self._means
        claim = claim_of(means.peer.name, place.study_uid)
        if not await means.claims.take(claim):
            self._skip(place, StudyOutcome.SKIPPED, message="another node is moving it")
            return None
        async with means.database.session() as session:
            state = await get_move_state(session, place.study_uid)
        if not state.retrieved and state.attempts == (study.attempts or 0):
            return StudyMove(means, study, state, place)
        await means.claims.give_back(claim)
        here = replace(place, received=state.images)
        if state.retrieved:
            self._skip(here, StudyOutcome.COMPLETE)
        else:
            self._skip(here, StudyOutcome.SKIPPED, message="another node has moved it just now")
        return None

    def _skip(self, place: StudyProgress, outcome: StudyOutcome, *, message: str = "") -> None:
        result = StudyResult(
            study_uid=place.study_uid,
            outcome=outcome,
            expected=place.expected,
            received=place.received,
            message=message,
        )
        self._results[place.study] = result
        self._means.watch(replace(place, result=result))

    async def _settle(self, one: StudyMove, place: StudyProgress) -> None:
        self._results[place.study] = await one.settle()
        await self._means.claims.give_back(claim_of(self._means.peer.name, place.study_uid))
