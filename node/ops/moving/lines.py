"""The lines of a move: each asks for one study after the other, and lets each settle."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from node.errors import PeerRefused, PeerUnreachable
from node.ops.cycling.ending import AttemptEnded
from node.ops.cycling.running import RunningCycle
from node.ops.guarding.guard import Guard
from node.ops.guarding.slots import others_wait, told_of_waits
from node.ops.moving.queue import NextStudy, StudyQueue
from node.ops.moving.recording import is_ready, is_worth_another
from node.ops.moving.report import MoveWaits
from node.ops.moving.study import Means, StudyMove
from node.ops.moving.supply import Supply, renewed
from node.ops.politeness.crowd import CrowdedStudies
from node.ops.retrieving.leave import Withheld
from node.ops.retrieving.retriever import Retriever
from node.ops.tour import Tasks
from schema import SchemaError
from schema.cycles import note_cycle
from schema.moving.attempts import interrupt_attempts

log = logging.getLogger(__name__)

_LOOK_AT_GATE = 0.5
"""Seconds from one look to the next whether images are taken again."""


class Mover:
    """Asks for the studies in turn, over one association or several, and lets each settle.

    Parameters
    ----------
    queue, supply
        Gives the studies, which come from there.
    line, lines
        Makes what asks for them, and how many of those there may be.
    guard
        Gives each study a place, or says why the rest is left for another time.
    """

    def __init__(
        self,
        means: Means,
        record: RunningCycle,
        queue: StudyQueue,
        supply: Supply,
        *,
        line: Callable[[Callable[[], None]], Retriever],
        lines: int,
        proceed: Callable[[], bool],
        guard: Guard,
    ) -> None:
        self._means = means
        self._guard = guard
        self._record = record
        self._queue = queue
        self._supply = supply
        self._pacer = means.pacer
        self._line = line
        self._more = lines - 1
        self._lines = 0
        self._idle = 0
        self._crowd: CrowdedStudies[NextStudy] = CrowdedStudies()
        self._questioned: set[str] = set()
        self._proceed = proceed
        self._tasks = Tasks()
        self._opening: dict[Retriever, asyncio.Task[None]] = {}
        self._at_gate = asyncio.Lock()
        self._resting: set[Retriever] = set()
        self._places: set[Retriever] = set()
        self._settling = 0
        self._news = asyncio.Event()
        self._parked = False
        self._waits = False
        self._refused: PeerUnreachable | PeerRefused | None = None

    async def run(self) -> None:
        """Return when each that was asked for has its result.

        Raises
        ------
        PeerUnreachable, PeerRefused
            Those that were asked for before have their results all the same.
        """
        try:
            with told_of_waits(self._means.peer.name, self._say):
                renewing = renewed(self._supply, when=self._wants_more, told=self._ask_beside)
                async with self._tasks, self._line(self._ask_beside) as retriever, renewing:
                    await self._ask(retriever)
                    for task in self._opening.values():  # there is nothing left for them to ask
                        task.cancel()
                    self._opening.clear()
                    while self._settling or self._at_work:
                        await self._hear()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if self._refused is not None:
            raise self._refused

    async def _ask(self, retriever: Retriever) -> None:
        """Ask for one study after the other, until there is none, or no point in it."""
        self._lines += 1
        try:
            going_on = True
            while going_on and self._refused is None and await self._may_ask(retriever):
                try:
                    going_on = await self._ask_next(retriever)
                finally:
                    if retriever in self._places:  # nothing came of it
                        self._places.remove(retriever)
                        self._guard.release()
        except (PeerUnreachable, PeerRefused) as error:
            self._refused = self._refused or error
        finally:
            self._lines -= 1
            self._pacer.leave(retriever)
            self._news.set()
        await retriever.close()

    async def _ask_next(self, retriever: Retriever) -> bool:
        """Ask for the next study, for which there is a place; say whether to go on."""
        if self._queue.left and not await self._pacer.turn(retriever):
            return True  # it may not be asked for at all by now
        if (chosen := await self._queue.next()) is not None:
            return await self._ask_for(chosen, retriever)
        self._places.remove(retriever)
        self._guard.release()
        self._pacer.pass_on(retriever)
        self._idle += 1
        try:
            await retriever.close()
            if not self._at_work:
                await self._queue.rest()
            while not self._is_left() and not self._refused and (self._settling or self._at_work):
                await self._hear()  # more may be found meanwhile, or be worth another attempt
        finally:
            self._idle -= 1
        return self._queue.left

    def _is_left(self) -> bool:
        if not self._at_work:
            self._take_back(to_blame=True)
        return self._queue.left

    def _take_back(self, *, to_blame: bool) -> None:
        """Let those be asked for again that were put aside."""
        for study in self._crowd.taken_back(to_blame=to_blame):
            self._queue.put_back(study)

    @property
    def _at_work(self) -> int:
        """How many lines there are, or will be, that have something to ask for."""
        return self._lines - self._idle + len(self._opening)

    async def _hear(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _wants_more(self) -> bool:
        """Tell whether what is ready by now would be asked for."""
        return not (self._parked or self._record.paused or self._refused) and self._proceed()

    async def _ask_for(self, chosen: NextStudy, retriever: Retriever) -> bool:
        """Ask for a study; say whether to go on over this association."""
        endings = self._record.endings
        one = StudyMove(self._means, chosen)
        if endings.unwanted(chosen.attempt_id):
            await self._end_attempt(one, chosen)
            return True
        try:
            work = one.ask(
                retriever,
                crowded=lambda: (
                    self._at_work > 1 and not self._crowd.is_to_blame(chosen.place.study_uid)
                ),
                leave=lambda: self._is_still_to_be_asked(chosen),
            )
            asked = await endings.within(chosen.attempt_id, work)
        except AttemptEnded:
            await self._end_attempt(one, chosen)
        except Withheld:  # why, is seen before the next one
            one.forget()
            self._queue.put_back(chosen)
        else:
            return await self._goes_on(one, chosen, retriever, asked=asked)
        return True

    async def _goes_on(
        self, one: StudyMove, chosen: NextStudy, retriever: Retriever, *, asked: bool
    ) -> bool:
        """Let a study settle that was asked for, or be asked for again; say whether to go on."""
        uid = chosen.place.study_uid
        if asked:
            # it was the study, not what else the peer was asked for
            self._more += self._crowd.asked(uid, failed=one.failed)
            self._means.lister.beside |= uid in self._questioned and one.failed
            self._questioned.discard(uid)
            if not one.failed and self._at_work > 1:
                self._take_back(to_blame=True)
            self._settling += 1
            self._places.remove(retriever)  # it is given back when the study has settled
            self._tasks.create_task(self._settle(one, chosen), name="settle a study")
            if isinstance(one.error, PeerUnreachable | PeerRefused):
                self._refused = self._refused or one.error
            return True
        if one.questions_were_in_the_way:
            self._queue.put_back(chosen)
            self._questioned.add(uid)
            await self._means.lister.step_aside()
            return True
        if not self._crowd.failed(uid, chosen):
            return True
        self._take_back(to_blame=False)
        if self._lines - self._idle > 1:
            log.info("%s may take fewer retrievals at once", self._means.peer.name)
            self._crowd.ends(uid)
            return False
        return True

    def _ask_beside(self) -> None:
        """Ask for other studies at the same time: the peer answers, or a study takes long."""
        self._news.set()
        room = 0 if self._idle else self._pacer.at_once
        while self._more and self._queue.left and self._at_work < room:
            self._more -= 1
            also = self._line(self._ask_beside)
            task = self._tasks.create_task(self._ask_also(also), name="ask for studies")
            self._opening[also] = task

    async def _ask_also(self, retriever: Retriever) -> None:
        async with retriever:
            try:
                await retriever.open()
            except (PeerUnreachable, PeerRefused) as error:
                log.info("%s takes no further association: %s", self._means.peer.name, error)
                return
            finally:
                self._opening.pop(retriever, None)
                self._news.set()
            await self._ask(retriever)

    async def _may_ask(self, retriever: Retriever) -> bool:
        """Wait while nothing is taken; say whether the next study is to be asked for at all."""
        if self._parked or await others_wait(self._means.peer.name):
            await retriever.close()
        self._resting.add(retriever)
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
                        if (why := await self._guard.refusal()) is not None:
                            self._end(why)
                            break
                        if self._guard.take():
                            self._parked = False
                            self._places.add(retriever)
                            return True
                        if self._parked:
                            await self._guard.freed()
                        else:  # what is under way may take hours
                            await self._park()
                    else:
                        await asyncio.sleep(_LOOK_AT_GATE)
            await self._leave_the_rest()
        finally:
            self._resting.discard(retriever)
        return False

    async def _leave_the_rest(self) -> None:
        """Let others have at once what is not asked for: what is under way may take hours."""
        try:
            await self._park()
        except SchemaError as error:  # it is let go when the move ends
            log.warning("What is left is not let go yet: %s", error)

    async def _is_still_to_be_asked(self, chosen: NextStudy) -> bool:
        """Look once more, just before a study is asked for: all may be otherwise since it was not.

        The hours are looked at last of all.
        """
        return (
            await self._means.intake.closed() is None
            and await self._guard.refusal() is None
            and await self._queue.is_ours(chosen)
            and not self._record.paused
            and not self._record.endings.unwanted(chosen.attempt_id)
            and self._proceed()
        )

    async def _park(self) -> None:
        """Hold nothing that others could use: nobody knows for how long."""
        self._parked = True
        self._take_back(to_blame=False)
        for retriever in list(self._resting):
            await retriever.close()
        await self._queue.let_go()
        await self._queue.rest()

    def _end(self, why: str) -> None:
        """Say once why the rest is left for another time: in the cycle's row, when it ends."""
        if self._record.message is None:
            waits = MoveWaits(peer=self._means.peer.name, reason=why)
            self._means.watch(replace(waits, expected=self._guard.used_up))
        self._record.message = why

    async def _say(self, reason: str | None) -> None:
        """Say why it has to be waited, or that it goes on."""
        waits = None if reason is None else f"waiting: {reason}"
        self._means.watch(MoveWaits(peer=self._means.peer.name, reason=reason))
        try:
            async with self._means.database.begin() as session:
                await note_cycle(session, self._record.id, waits)
        except SchemaError as error:  # the disk may be the database's as well
            log.warning("What the move waits for is not recorded: %s", error)

    async def _settle(self, one: StudyMove, chosen: NextStudy) -> None:
        try:
            judged = await self._record.endings.within(chosen.attempt_id, one.settle())
            if self._refused is None and is_worth_another(judged, chosen.repairs):
                self._queue.ask_again(replace(chosen, place=one.place))
            else:
                if judged is None or is_ready(judged):  # and was asked for
                    self._queue.done_with(chosen)
                one.tell(judged)
        except AttemptEnded:
            await self._end_attempt(one, chosen)
        finally:
            self._guard.release()
            self._settling -= 1
            self._news.set()

    async def _end_attempt(self, one: StudyMove, chosen: NextStudy) -> None:
        """Leave a study that an operator does not want to be asked for."""
        if chosen.listing is not None:
            chosen.listing.cancel()
        await self._means.database.run(interrupt_attempts, attempt_ids=[chosen.attempt_id])
        self._queue.done_with(chosen)
        one.tell(None, ended=True)
