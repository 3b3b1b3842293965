"""One retrieval of a PACS that misbehaves, from its request to the last thing that comes of it."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from node.dicom.status import Status
from node.errors import NodeError
from node.net.categories import is_success_or_warning
from node.net.dimse.contexts import MAXIMUM_CONTEXTS
from node.net.messages import Conducted, EndOfAnswers, Instance, Peer
from node.net.scp.services.suboperations import Counts
from node.net.scu.requestor import Originator
from node.simulator.behaviour import House
from node.simulator.chance import fraction
from node.simulator.instances import HeldInstance
from node.simulator.misbehaving.retrieval.occasions import RetrievalCounters, RetrievalOccasion
from node.simulator.misbehaving.retrieval.responses import Responses
from node.simulator.misbehaving.retrieval.sending import (
    Back,
    Destination,
    Route,
    in_another_series,
)
from node.simulator.misbehaving.retrieval.settings import (
    Cancelling,
    Originating,
    Retrievals,
    Told,
    Where,
)

log = logging.getLogger(__name__)

_GLANCE = 0.05
"""Seconds from one look at whether somebody still waits to the next, at first."""

_SHARE = 100
"""What lasts long is looked at less often: so often in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRetrieval:
    """A retrieval that is to be played.

    Attributes
    ----------
    caller
        The AE title of who asks.
    chosen
        What it names.
    target
        Where a C-MOVE sends it; None of a C-GET.
    admit
        Waits until it is its turn.
    serve
        Waits until an image's work is done.

    Raises
    ------
    EndOfAnswers
        By `admit`: it is not answered otherwise.
    """

    caller: str
    chosen: Sequence[HeldInstance]
    target: Peer | None
    admit: Callable[[], Awaitable[None]]
    serve: Callable[[], Awaitable[None]]


class Play:
    """Conducts a retrieval as the settings say; see `node.net.messages.Conduct`."""

    def __init__(
        self,
        asked: AskedRetrieval,
        settings: Retrievals,
        occasion: RetrievalOccasion,
        counters: RetrievalCounters,
        house: House,
    ) -> None:
        self._asked = asked
        self._settings = settings
        self._counters = counters
        self._house = house
        due = occasion.falls_on
        self._failure = next(
            (f for n, f in enumerate(settings.failures) if due(f, f"failure {n}")), None
        )
        self._break = settings.breaks if due(settings.breaks, "breaks") else None
        self._stall = settings.stall if due(settings.stall, "stall") else None
        self._endless = settings.endless if due(settings.endless, "endless") else None
        self._early = settings.early if due(settings.early, "early") and asked.target else None
        self._empty = due(settings.empty, "empty")
        self._left_out = settings.left_out if due(settings.left_out, "left out") else None
        last = settings.last if due(settings.last, "last") else None
        self._responses = Responses(settings, last)
        self._left: deque[HeldInstance] = deque()
        self._counts = Counts(remaining=0)
        self._begun = 0
        self._cancel_seen = False
        self._reported = 0
        self._end: EndOfAnswers | None = None
        self._pairs = list(
            dict.fromkeys((i.sop_class_uid, i.transfer_syntax_uid) for i in asked.chosen)
        )[:MAXIMUM_CONTEXTS]

    async def __call__(self, conducted: Conducted) -> None:
        """Conduct it."""
        self._conducted = conducted
        try:
            try:
                await self._asked.admit()
                await self._pause(self._settings.slow.start)
                self._plan()
                answered = await self._deliver_and_answer()
            except EndOfAnswers as end:
                self._end, answered = end, False
            if not answered and self._end is not None:
                await self._break_off(self._end)
            elif not answered:
                await conducted.respond(
                    self._responses.final(self._counts), self._responses.failed_uids(self._counts)
                )
        finally:
            self._counters.ended += 1
            restarts = self._settings.restarts
            if restarts is not None and self._counters.ended % restarts.every == 0:
                self._counters.restarts += 1
                self._house.restart(restarts.seconds)

    async def _break_off(self, end: EndOfAnswers) -> None:
        """End it before all is done."""
        if end.status is None:
            self._counters.aborted += 1
            self._conducted.abort("a retrieval is broken off")
            return
        cancelled = end.status == Status.CANCEL
        self._counters.cancelled += cancelled
        self._counters.failures += not cancelled
        await self._conducted.respond(
            self._responses.ended(self._counts, end.status, end.comment),
            self._responses.failed_uids(self._counts),
        )

    # What is sent

    def _plan(self) -> None:
        """Decide what is sent, and count what is not."""
        if self._empty:
            self._counters.empty += 1
            return
        counts, out = self._counts, self._left_out
        for instance in self._asked.chosen:
            uid = instance.sop_instance_uid
            if out is None or fraction(uid, "image left out") >= out.images:
                self._left.append(instance)
                counts.remaining += 1
                continue
            self._counters.left_out += 1
            if out.told is Told.COMPLETED:
                counts.completed += 1
            elif out.told is Told.FAILED:
                counts.failed += 1
                counts.failed_uids.append(uid)

    async def _deliver_and_answer(self) -> bool:
        """Send all; tell whether the last response is no matter any more."""
        if self._early is not None:
            self._counters.early += 1
            done = Counts(remaining=0, completed=len(self._left))
            done.completed += self._counts.completed
            done.failed, done.failed_uids = self._counts.failed, self._counts.failed_uids
            await self._conducted.respond(
                self._responses.final(done), self._responses.failed_uids(done)
            )
            self._house.spawn(self._deliver_after(self._early.delay))
            return True
        if not self._settings.goes_on or self._asked.target is None:
            await self._deliver()
            return False
        sending = self._house.spawn(self._deliver())
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not sending.done():
            passed = loop.time() - began
            await asyncio.wait([sending], timeout=max(_GLANCE, passed / _SHARE))
            if self._conducted.is_left and not sending.done():
                return True
        return False

    async def _deliver_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._deliver()

    async def _deliver(self) -> None:
        """Send what is left, over as many associations as there are to be."""
        lanes = self._settings.associations if self._asked.target is not None else 1
        if lanes == 1 or len(self._left) < 2:
            await self._lane()
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(lanes):
                    group.create_task(self._lane())
        if self._end is None and not self._empty:
            await self._turn(None)

    async def _lane(self) -> None:
        async with self._route() as route:
            while self._left and self._end is None:
                await self._turn(route)
                if self._left and self._end is None:
                    await self._send(route, self._left.popleft())

    def _route(self) -> Route:
        target = self._asked.target
        if target is None:
            return Back(self._conducted)
        named = self._settings.originator is Originating.HONEST
        originator = Originator(self._asked.caller, self._conducted.message_id) if named else None
        return Destination(target, self._pairs, originator, for_ever=self._stall is not None)

    async def _send(self, route: Route, held: HeldInstance) -> None:
        self._begun += 1
        await self._pause(self._settings.slow.image)
        await self._asked.serve()
        instance = await self._house.sendable(held)
        try:
            status = await self._stored(route, instance, held)
        except NodeError as error:
            log.warning("Cannot send an image: %s", error)
            self._counts.count(held.sop_instance_uid, None)
            self._counters.not_taken += 1 + len(self._left)
            while self._left:
                self._counts.count(self._left.popleft().sop_instance_uid, None)
            return
        self._counts.count(held.sop_instance_uid, status)
        self._reported += 1
        if self._settings.pending and self._reported % self._settings.pending == 0:
            await self._conducted.respond(self._responses.pending(self._counts))

    async def _stored(self, route: Route, instance: Instance, held: HeldInstance) -> int | None:
        """Store an image, once or more often; return the first status."""
        twice, uid = self._settings.twice, held.sop_instance_uid
        if twice is None or fraction(uid, "twice") >= twice.share:
            status = await self._store(route, instance)
        elif twice.at_once and self._asked.target is not None:
            async with self._route() as other:
                status, _ = await asyncio.gather(
                    self._store(route, instance), self._store_again(other, instance)
                )
        else:
            status = await self._store(route, instance)
            await self._store_again(route, instance)
        if self._settings.two_series and fraction(uid, "two series") < self._settings.two_series:
            await self._store_again(route, await in_another_series(instance, held.series_uid))
        return status

    async def _store_again(self, route: Route, instance: Instance) -> None:
        self._counters.doubled += 1
        with suppress(NodeError):
            await self._store(route, instance)

    async def _store(self, route: Route, instance: Instance) -> int | None:
        status = await route.store(instance)
        taken = status is not None and is_success_or_warning(status)
        self._counters.images += taken
        self._counters.not_taken += not taken
        self._counters.late_images += taken and self._conducted.is_left
        return status

    # What happens between two images

    async def _turn(self, route: Route | None) -> None:
        """Do what is due before the next image, or after the last one, where there is no route."""

        def due(images: int | None) -> bool:
            return route is None or (images is not None and self._begun >= images)

        if self._is_cancelled:
            self._end = EndOfAnswers(Status.CANCEL)
        elif self._failure is not None and due(self._failure.images):
            self._end = EndOfAnswers(self._failure.status, self._failure.comment)
        elif self._break is not None and due(self._break.images):
            self._end = EndOfAnswers(None)
        elif self._stall is not None and due(self._stall.images):
            await self._halt(route, self._stall.at)
        elif self._endless is not None and due(self._endless.images):
            await self._repeat(self._endless.interval)

    async def _halt(self, route: Route | None, where: Where) -> None:
        self._counters.stalled += 1
        if where is Where.PDU and route is not None and self._left:
            instance = await self._house.sendable(self._left[0])
            with suppress(NodeError):
                await route.store(instance, half=True)
        await asyncio.Event().wait()

    async def _repeat(self, interval: float) -> None:
        self._counters.endless += 1
        while not self._is_cancelled:
            await self._conducted.respond(self._responses.pending(self._counts))
            await asyncio.sleep(interval)
        self._end = EndOfAnswers(Status.CANCEL)

    async def _pause(self, seconds: float) -> None:
        """Wait, and no longer when it is cancelled."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and not self._is_cancelled:
            await asyncio.sleep(min(left, max(_GLANCE, seconds / _SHARE)))

    @property
    def _is_cancelled(self) -> bool:
        if self._early is not None or not self._conducted.is_cancelled:
            return False
        if self._settings.cancel is Cancelling.IGNORED:
            if not self._cancel_seen:
                self._counters.cancels_ignored += 1
            self._cancel_seen = True
            return False
        return True
