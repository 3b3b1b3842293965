"""Move: ask a peer to send us the studies that we do not have, until each is complete.

`retrieved_on` means verified complete. The peer's word is not evidence: after its last
response, images may still be on their way, and its Success may hide that some never left.
So each study is judged by the index: against its own counts, and where these say that
something is missing, against the peer's list of the study's images.

Studies are asked for one after the other, over as many associations at once as the configuration
and the peer allow. What was asked for settles while the next ones are asked for: nobody waits for
images that do not come.
"""

import asyncio
import logging
from collections.abc import Callable

from node.errors import PeerRefused, PeerUnreachable
from node.net.messages import Peer
from node.ops.cycles import RunningCycle, cycle
from node.ops.moving.arrivals import looking
from node.ops.moving.queue import NextStudy, StudyQueue
from node.ops.moving.recording import recording
from node.ops.moving.report import MoveNotes, MoveReport, MoveWaits, Patience, StudyProgress
from node.ops.moving.request import Requests
from node.ops.moving.study import Means, StudyMove, StudyWatcher
from node.ops.receiving.intake import Intake
from node.ops.tour import Tasks
from schema import Database, SchemaError, StudyFind
from schema.cycles import note_cycle
from schema.engine.claims import claiming
from schema.moves import claim_of

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
    lines: int = 1,
    watch: StudyWatcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
) -> MoveReport:
    """Ask a peer for studies, one after the other, and return when each has its verdict.

    Parameters
    ----------
    studies
        Rows of `studies_find`, in the order in which to ask for them.
    destination
        Our AE title, as the peer knows it.
    intake
        Who receives them meanwhile: before each study it is asked whether anything is taken, and
        while nothing is, the rest waits.
    lines
        How many of them may be asked for at once, each over an association of its own; a peer that
        takes fewer gets fewer.
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
    notes = MoveNotes(peer.name)

    def note(told: StudyProgress | MoveWaits) -> None:
        notes.take(told)
        watch(told)

    async with cycle(database, "move", peer=peer.name, node=destination) as record:
        try:
            async with (
                claiming(database) as claims,
                looking(database, intake) as lookout,
                recording(database, peer.name) as recorder,
            ):
                means = Means(
                    database=database,
                    peer=peer,
                    patience=patience,
                    lookout=lookout,
                    recorder=recorder,
                    intake=intake,
                    claims=claims,
                    queries=asyncio.Lock(),
                    watch=note,
                )

                def line(answered: Callable[[], None]) -> Requests:
                    return Requests(
                        peer, destination=destination, limits=patience.limits, answered=answered
                    )

                mover = _Mover(means, record, line=line, lines=lines, proceed=proceed)
                await mover.run(studies)
        finally:
            report = notes.report(peer.name, studies=len(studies))
            record.counts = report.counts()
            record.partial = bool(report.incomplete)
    return report


class _Mover:
    """Asks for the studies in turn, over one association or several, and lets each settle.

    Parameters
    ----------
    line
        Makes what asks for studies, over an association of its own, and calls the function that it
        is given with each response that is no failure.
    lines
        How many of them there may be.
    """

    def __init__(
        self,
        means: Means,
        record: RunningCycle,
        *,
        line: Callable[[Callable[[], None]], Requests],
        lines: int,
        proceed: Callable[[], bool],
    ) -> None:
        self._means = means
        self._record = record
        self._line = line
        self._more = lines - 1
        self._lines = 0
        self._asking = 0
        self._crowded: set[str] = set()
        self._proceed = proceed
        self._tasks = Tasks()
        self._opening: dict[Requests, asyncio.Task[None]] = {}
        self._at_gate = asyncio.Lock()
        self._resting: set[Requests] = set()
        self._parked = False
        self._waits = False
        self._refused: PeerUnreachable | PeerRefused | None = None

    async def run(self, studies: list[StudyFind]) -> None:
        """Return when each that was asked for has its result.

        Raises
        ------
        PeerUnreachable, PeerRefused
            Those that were asked for before have their results all the same.
        """
        means = self._means
        self._queue = StudyQueue(
            means.database, means.claims, means.peer.name, studies, means.watch
        )
        try:
            async with self._tasks, self._line(self._ask_beside) as requests:
                await self._ask(requests)
                for task in self._opening.values():  # there is nothing left for them to ask
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if self._refused is not None:
            raise self._refused

    async def _ask(self, requests: Requests) -> None:
        """Ask for one study after the other, until there is none, or no point in it."""
        self._lines += 1
        try:
            while self._refused is None and await self._may_ask(requests):
                chosen = await self._queue.next()
                if chosen is None or not await self._ask_for(chosen, requests):
                    break
        except (PeerUnreachable, PeerRefused) as error:
            self._refused = self._refused or error
        finally:
            self._lines -= 1
        await requests.close()

    async def _ask_for(self, chosen: NextStudy, requests: Requests) -> bool:
        """Ask for a study; say whether to go on over this association."""
        place = chosen.place
        one = StudyMove(self._means, chosen)
        self._asking += 1
        try:
            asked = await one.ask(requests, crowded=lambda: self._asking > 1)
        finally:
            self._asking -= 1
        if asked:
            if place.study_uid in self._crowded and one.failed:
                self._more += 1  # it was the study, not the crowd
            self._crowded.discard(place.study_uid)
            self._tasks.create_task(self._settle(one, place), name="settle a study")
            return True
        self._crowded.add(place.study_uid)
        self._queue.put_back(chosen)
        if self._lines > 1:
            log.info("%s may take fewer C-MOVEs at once", self._means.peer.name)
            return False
        return True

    def _ask_beside(self) -> None:
        """Ask for other studies at the same time: the peer answers."""
        while self._more and self._queue.left:
            self._more -= 1
            also = self._line(self._ask_beside)
            task = self._tasks.create_task(self._ask_also(also), name="ask for studies")
            self._opening[also] = task

    async def _ask_also(self, requests: Requests) -> None:
        async with requests:
            try:
                await requests.open()
            except (PeerUnreachable, PeerRefused) as error:
                log.info("%s takes no further association: %s", self._means.peer.name, error)
                return
            finally:
                self._opening.pop(requests, None)
            await self._ask(requests)

    async def _may_ask(self, requests: Requests) -> bool:
        """Wait while nothing is taken; say whether the next study is to be asked for at all."""
        if self._parked:
            await requests.close()
        self._resting.add(requests)
        try:
            async with self._at_gate:
                while await self._record.may_go_on(self._park) and self._proceed():
                    reason = await self._means.intake.closed()
                    if reason is not None:
                        await self._park()
                    if (reason is not None) != self._waits:
                        self._waits = reason is not None
                        await self._say(reason)
                    if reason is None:
                        self._parked = False
                        return True
                    await asyncio.sleep(_LOOK_AT_GATE)
        finally:
            self._resting.discard(requests)
        return False

    async def _park(self) -> None:
        """Hold nothing that others could use: nobody knows for how long."""
        self._parked = True
        for requests in list(self._resting):
            await requests.close()
        await self._queue.let_go()

    async def _say(self, reason: str | None) -> None:
        """Say why it has to be waited, or that it goes on."""
        self._means.watch(MoveWaits(peer=self._means.peer.name, reason=reason))
        try:
            async with self._means.database.begin() as session:
                await note_cycle(
                    session, self._record.id, None if reason is None else f"waiting: {reason}"
                )
        except SchemaError as error:  # the disk may be the database's as well
            log.warning("What the move waits for is not recorded: %s", error)

    async def _settle(self, one: StudyMove, place: StudyProgress) -> None:
        await one.settle()
        await self._means.claims.give_back(claim_of(place.study_uid))
