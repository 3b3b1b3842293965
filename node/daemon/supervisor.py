"""Start, watch, stop.

The node listens before anything else begins, and goes on listening until everything else
has ended. A task that ends by itself, with an error or without, stops the node loudly: a
node that receives but no longer indexes, or no longer moves, must not look alive.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from node.config import CommonHours, Config
from node.daemon.cycles import (
    find_cycle,
    last_find,
    move_cycle,
    peers_by_hours,
    run_on_schedule,
)
from node.daemon.schedule import Schedule
from node.errors import PermanentError
from node.net.messages import Services
from node.ops.answering.committing import Committing, committing
from node.ops.answering.giving.giving import Giving, giving
from node.ops.answering.scopes import note_unknown_projects
from node.ops.answering.services import services
from node.ops.committing.reports import ReportKeeper
from node.ops.database import Opening, opening
from node.ops.guarding.under_way import UnderWay
from node.ops.hooking.outbox import Outbox, emptying
from node.ops.receiving.intake import IntakeHere
from node.ops.receiving.receiver import Receiver, receiving
from node.storage.folders import has_spool
from schema import Database

log = logging.getLogger(__name__)

_TO_END = 8.0
"""Seconds that cancelled cycles have to abort their associations and record their end."""


class TaskDied(PermanentError):  # noqa: N818 - reads as a sentence where it is raised
    """A background task ended although nobody asked it to."""


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT ask the node to stop; a second one ends it at once.

    So does the end of its terminal (SIGHUP), unless `nohup` has that ignored.
    """
    loop = asyncio.get_running_loop()

    def ask(received: signal.Signals) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        log.info("Received %s: draining", received.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, ask, number)


async def serve(
    config: Config,
    database: Database,
    *,
    stop: asyncio.Event,
    ready: Callable[[Receiver], None] = lambda _: None,
) -> None:
    """Be the node, until `stop` is set.

    Parameters
    ----------
    ready
        Called once, when the node listens.

    Raises
    ------
    SchemaError
        The database is missing or of another version; or away at the start, where nothing has
        been received before. Otherwise it is waited for.
    ListenError, StorageError
        The node cannot listen or store.
    TaskDied
        A background task ended by itself; the node has stopped because of it.
    """
    # A mistake in the configuration of a new node is told at once; one that has worked before
    # goes on receiving, whatever has become of its database.
    used = await asyncio.to_thread(has_spool, config.storage.directory)
    async with opening(database, node=config.node.aetitle, insist=used) as opened:
        if not await _unless(stop, opened.seen()):
            return
        await note_unknown_projects(config, database)
        async with (
            emptying(config, database) as outbox,
            giving(config, database) as given,
            committing(config, database) as commitments,
            receiving(
                config,
                database,
                opening=opened,
                answering=partial(_offered, config, database, commitments, given),
            ) as receiver,
        ):
            cycles = _cycles(config, database, opened, receiver)
            hooks = _hooks(outbox, opened)
            commits = _commits(commitments, opened, receiver)
            tasks = [receiver.writer, *cycles, *hooks, commits]
            log.info(
                "%s is listening on %s:%d",
                config.node.aetitle,
                receiver.acceptor.host,
                receiver.acceptor.port,
            )
            ready(receiver)
            try:
                await _first_end(tasks, stop, opened)
            finally:
                if outbox is not None:
                    outbox.close()  # what runs of it has its time while the rest ends
                await _cancel([*cycles, commits])
                await commitments.end()
                await _cancel(hooks)  # it has ended by now, unless the database hangs
                log.info("No more associations are accepted; waiting for those that run")
    log.info("Stopped")


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do it, unless the node is asked to stop before it is done; return whether it was done."""
    tasks = [asyncio.create_task(work), asyncio.create_task(stop.wait(), name="stop")]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    if stop.is_set():
        await asyncio.gather(*tasks, return_exceptions=True)
        return False
    await tasks[0]
    return True


def _cycles(
    config: Config, database: Database, opened: Opening, receiver: Receiver
) -> list["asyncio.Task[None]"]:
    tasks: list[asyncio.Task[None]] = []

    def begin(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def run_when_ready() -> None:
            await opened.ready()
            await run()

        tasks.append(asyncio.create_task(run_when_ready(), name=f"{name} cycles"))

    find, move = config.find, config.move
    if find.every is not None:
        every, turns = find.every, asyncio.Semaphore(find.concurrency)

        async def run_finds(name: str, hours: CommonHours, peers: tuple[str, ...]) -> None:
            await run_on_schedule(
                name,
                Schedule(every=every, hours=hours, jitter=find.jitter, seed=config.node.aetitle),
                lambda: find_cycle(config, database, peers, turns=turns),
                began_on=await last_find(config, database, peers),
            )

        names = [peer.name for peer in config.find_peers]
        groups = peers_by_hours(names, config.find_hours)
        for hours, peers in groups.items():
            name = "find" if len(groups) == 1 else f"find ({', '.join(peers)})"
            begin(name, partial(run_finds, name, hours, peers))
    if move.every is not None:
        here, under_way = IntakeHere(receiver), UnderWay()
        # each peer by itself: one that takes all night holds up no other
        names = [peer.name for peer in config.move_peers]
        alone: list[tuple[str, ...]] = [(name,) for name in names]
        for peers in alone or [()]:
            name = "move" if len(names) <= 1 else f"move ({', '.join(peers)})"
            hours = config.move_hours(peers[0]) if peers else CommonHours()
            moves = Schedule(every=move.every, hours=hours)
            cycle = partial(move_cycle, config, database, here, peers, under_way=under_way)
            begin(name, partial(run_on_schedule, name, moves, cycle))
    return tasks


def _offered(
    config: Config,
    database: Database,
    commitments: Committing,
    given: Giving,
    is_receiving: Callable[[], bool],
) -> Services:
    """Return the services of the node, but for storage."""
    answers = services(config, database, is_receiving, giving=given)
    return replace(answers, commit=commitments.take, report=ReportKeeper(database).take)


def _commits(commitments: Committing, opened: Opening, receiver: Receiver) -> "asyncio.Task[None]":
    async def run_when_ready() -> None:
        await opened.ready()
        await commitments.run(receiver.indexer)

    return asyncio.create_task(run_when_ready(), name="storage commitments")


def _hooks(outbox: Outbox | None, opened: Opening) -> list["asyncio.Task[None]"]:
    if outbox is None:
        return []

    async def run_when_ready() -> None:
        await opened.ready()
        await outbox.run()

    return [asyncio.create_task(run_when_ready(), name="hooks")]


async def _first_end(
    tasks: list["asyncio.Task[None]"], stop: asyncio.Event, opened: Opening
) -> None:
    """Wait until the node is asked to stop, or a task ends that never should."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    if not stop.is_set() and (useless := opened.error) is not None:
        raise useless
    for task in done - {stopping}:
        error = None if task.cancelled() else task.exception()
        reason = f"{type(error).__name__}: {error}" if error else "it ended by itself"
        raise TaskDied(
            f"the task '{task.get_name()}' died ({reason}); the node has stopped"
        ) from error


async def _cancel(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=_TO_END)
        for task in late:
            log.error("The task '%s' did not end; the node stops without it", task.get_name())
