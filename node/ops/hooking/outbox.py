"""The outbox is emptied: what is recorded is told, again until it is taken, beside everything else.

Who has recorded it does not matter: this process, a command, or another node. Each hook has its
own turns, so that one that hangs or fails holds up nobody but itself. What was not told when the
process ended is told by whichever comes next.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from uuid import UUID

from node.config import Config
from node.config.hooks import HookSettings
from node.ops.hooking.deliver import deliver
from node.ops.hooking.event import Delivery, Event
from node.ops.processes import is_alive, start_of
from schema import Database, SchemaError
from schema.engine.backoff import Backoff
from schema.hooking.claiming import (
    DueDelivery,
    Teller,
    claim_deliveries,
    due_hooks,
    expire_deliveries,
    give_back,
    release_deliveries,
    settle_delivery,
)
from schema.hooking.kinds import EventKind
from schema.hooking.patience import DeliveryLimits, next_delivery
from schema.hooking.patients import patient_of
from schema.text.words import counted, counted_are

log = logging.getLogger(__name__)

_LOOK = 1.0
"""Seconds from one look into the outbox to the next."""

_TIDY = 3600.0
"""Seconds from one look for what need not be kept any longer to the next."""

_MARGIN = 60.0
"""Seconds that a delivery is ours beyond the hook's own time: to end it, and to take that down."""

_TO_GIVE_BACK = 3.0
"""Seconds that the database has at the end for what was broken off."""

_BACKOFF = Backoff(first=1.0, longest=15.0)


class Outbox:
    """Tells what is due; `run` does so until `close` is called.

    Parameters
    ----------
    config
        Its hooks are told; what is for others is left to those who have them.
    """

    def __init__(self, config: Config, database: Database) -> None:
        self._hooks = config.hooks
        self._grace = config.node.grace
        self._database = database
        pid = os.getpid()
        self._worker = Teller(node=config.node.aetitle, pid=pid, process=start_of(pid))
        self._running: dict[asyncio.Task[None], DueDelivery] = {}
        self._broken: set[int] = set()
        self._wake = asyncio.Event()
        self._ends_at: float | None = None
        self._tidy_at = 0.0

    async def run(self) -> None:
        """Tell what is due until `close` is called; a database that is away is waited for."""
        failures = 0
        released = False
        while self._ends_at is None:
            self._wake.clear()
            pause = _LOOK
            try:
                if not released:
                    await self._release()
                    released = True
                await self._look()
                await self._tidy()
                failures = 0
            except SchemaError as error:
                failures += 1
                pause = _BACKOFF.pause(failures)
                if failures == 1:
                    log.warning("What hooks are to be told is not known: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def close(self) -> None:
        """Begin nothing more; what runs has the grace of the node from now on."""
        if self._ends_at is None:
            self._ends_at = asyncio.get_running_loop().time() + self._grace
        self._wake.set()

    async def end(self) -> None:
        """Wait for what runs until its time is over, and break off the rest: it is told again."""
        self.close()
        assert self._ends_at is not None, "it was closed"  # noqa: S101
        left = max(0.0, self._ends_at - asyncio.get_running_loop().time())
        running = dict(self._running)
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=left)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if not self._broken:
            return
        log.warning(
            "%s broken off, and told again at the next start", counted(len(self._broken), "hook")
        )
        try:
            async with asyncio.timeout(_TO_GIVE_BACK):
                await self._database.run(give_back, sorted(self._broken))
        except (SchemaError, TimeoutError) as error:  # their time runs out
            log.warning("That hooks were broken off is not recorded: %s", error)

    async def _release(self) -> None:
        """Take back what processes of this node had that have died meanwhile."""
        released = await self._database.run(release_deliveries, self._worker.node, alive=is_alive)
        if released:
            log.warning(
                "%s told again: an earlier process ended meanwhile",
                counted_are(released, "event"),
            )

    async def _look(self) -> None:
        """Begin what is due, as far as its hook has turns left."""
        async with self._database.session() as session:
            due = await due_hooks(session, list(self._hooks))
        for name in due:
            hook = self._hooks[name]
            busy = sum(one.hook == name for one in self._running.values())
            if (free := hook.concurrency - busy) <= 0:
                continue
            taken = await self._database.run(
                claim_deliveries,
                name,
                most=free,
                worker=self._worker,
                lease=hook.timeout + _MARGIN,
            )
            for one in taken:
                task = asyncio.create_task(self._tell(hook, one), name=f"tell hook {name}")
                self._running[task] = one
                task.add_done_callback(self._is_done)

    def _is_done(self, task: "asyncio.Task[None]") -> None:
        one = self._running.pop(task)
        if task.cancelled():
            self._broken.add(one.id)
        elif (error := task.exception()) is not None:  # when its time is over it is told again
            log.error("The task '%s' died", task.get_name(), exc_info=error)
        self._wake.set()

    async def _tell(self, hook: HookSettings, one: DueDelivery) -> None:
        try:
            said = await deliver(hook, await self._event(hook, one), attempts=1)
        except Exception as error:  # one event that cannot be told is no reason to tell no other
            log.exception("Hook %s cannot be told of event %s", one.hook, one.uuid)
            said = Delivery(done=False, again=True, reason=f"{type(error).__name__}: {error}")
        limits = DeliveryLimits(
            retry=hook.retry,
            retry_limit=hook.retry_limit,
            attempts=hook.attempts,
            give_up=hook.give_up,
        )
        again_in = None
        if not said.done:
            age = (one.claimed_on - one.created_on).total_seconds() + (said.seconds or 0)
            again_in = next_delivery(limits, again=said.again, attempts=one.attempts, age=age)
        try:
            await self._database.run(
                settle_delivery,
                one,
                worker=self._worker,
                again_in=again_in,
                reason=said.reason,
                code=said.code,
                output=said.output,
                seconds=said.seconds,
            )
        except SchemaError as error:  # when its time is over it is told again
            log.warning("What became of hook %s is not recorded: %s", one.hook, error)
            return
        what = f"{one.kind} {one.uuid}"
        if said.done:
            log.info("Hook %s was told %s", one.hook, what)
        elif again_in is None:
            log.error(
                "Hook %s was not told %s, and is not any more after %s: %s; "
                "`dicom-node hooks retry %d`",
                one.hook,
                what,
                counted(one.attempts, "attempt"),
                said.reason,
                one.id,
            )
        else:
            log.warning("Hook %s was not told %s yet: %s", one.hook, what, said.reason)

    async def _event(self, hook: HookSettings, one: DueDelivery) -> Event:
        """Return an event as a hook may have it."""
        patient = {}
        uid = one.data.get("study_uid")
        if hook.include_patient_data and isinstance(uid, str):
            async with self._database.session() as session:
                patient = await patient_of(session, uid)
        return Event(
            id=UUID(one.uuid),
            kind=EventKind(one.kind),
            when=one.created_on,
            data=one.data,
            patient=patient,
        )

    async def _tidy(self) -> None:
        """Delete what need not be kept any longer, now and then."""
        now = asyncio.get_running_loop().time()
        if now < self._tidy_at:
            return
        keep = {name: float(hook.keep) for name, hook in self._hooks.items()}
        while await self._database.run(expire_deliveries, keep):
            pass
        self._tidy_at = now + _TIDY


@contextlib.asynccontextmanager
async def emptying(config: Config, database: Database) -> AsyncIterator[Outbox | None]:
    """Have an outbox for the length of the block, where there are hooks; what runs then ends."""
    if not config.hooks:
        yield None
        return
    outbox = Outbox(config, database)
    try:
        yield outbox
    finally:
        await outbox.end()
