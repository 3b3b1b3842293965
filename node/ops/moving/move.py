"""Move: ask a peer for the studies that we do not have, until each is complete.

`retrieved_on` means verified complete. The peer's word is not evidence: after its last
response, images may still be on their way, and its Success may hide that some never left.
So each study is judged by the index, against what the peer lists, or says that it has
(`schema.moving.evidence`). Of what is partly here, only what is missing is asked for again.

Studies are asked for one after the other, over as many associations at once as the configuration
and the peer allow; over one more, the peer is asked what it has of those that are next. What was
asked for settles while the next ones are asked for: nobody waits for images that do not come.
"""

import asyncio
import logging
from collections.abc import Callable

from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.cycles import cycle
from node.ops.cycling.running import RunningCycle
from node.ops.guarding.guard import Guard, Unguarded
from node.ops.moving.arrivals import looking
from node.ops.moving.failures import is_busy
from node.ops.moving.lines import Mover
from node.ops.moving.listing import Lister
from node.ops.moving.queue import StudyQueue
from node.ops.moving.recording import recording
from node.ops.moving.report import MoveNotes, MoveReport, MoveWaits, Patience, StudyProgress
from node.ops.moving.study import Means, StudyWatcher
from node.ops.moving.supply import Supply
from node.ops.politeness.keeping import Pacing, pacing_of
from node.ops.politeness.watching import watching
from node.ops.receiving.intake import Intake
from node.ops.retrieving.retriever import Retriever
from schema import Database, SchemaError
from schema.moving.attempts import interrupt_attempts
from schema.moving.senders import Senders

log = logging.getLogger(__name__)

_TO_LET_GO = 3.0
"""Seconds that the database has at the end for what was begun and not asked for."""


async def move(
    database: Database,
    peer: Peer | WebPeer,
    studies: Supply,
    *,
    line: Callable[[Callable[[], None]], Retriever],
    node: str,
    senders: Senders,
    patience: Patience,
    intake: Intake,
    lines: int = 1,
    beside: bool = True,
    pacing: Pacing | None = None,
    watch: StudyWatcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
    guard: Guard | None = None,
    alone: bool = False,
) -> MoveReport:
    """Ask a peer for studies, one after the other, and return when each has its verdict.

    Parameters
    ----------
    peer
        Whom to ask what it has: by C-FIND, or QIDO-RS where it is a service.
    studies
        In the order in which to ask for them.
    line
        Makes what asks for studies, over a connection of its own, and calls the function that it
        is given with each response that is no failure.
    node
        Our AE title.
    senders
        Who sends for which peer.
    intake
        Who receives them meanwhile: before each study it is asked whether anything is taken, and
        while nothing is, the rest waits.
    lines
        How many of them may be asked for at once, each over an association of its own; a peer that
        takes fewer gets fewer.
    beside
        Whether it is asked what it has while studies are retrieved, over one more.
    pacing
        How gently it is asked; as fast as it goes, when None.
    watch
        Called as images come, when a study is done, and when it has to be waited.
    proceed
        Asked before each study; when it says no, the rest is left for another time.
    guard
        Gives each study a place, or says why the rest is left for another time; None: any number.
    alone
        Whether what becomes of the one study says whether others are moved after it.

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

    async with cycle(database, "move", peer=peer.name, node=node) as record:
        try:
            async with (
                looking(database, intake) as lookout,
                recording(
                    database,
                    peer.name,
                    senders=senders,
                    limits=patience.retries,
                    policy=patience.policy,
                    alone=alone,
                ) as recorder,
                pacing_of(
                    database, peer.name, pacing or Pacing(), node=node, lines=lines, is_busy=is_busy
                ) as pacer,
                Lister(database, peer, patience.query, pacer, beside=beside) as lister,
                watching(pacer, lister.probe),
            ):
                means = Means(
                    database=database,
                    peer=peer,
                    senders=senders,
                    patience=patience,
                    lister=lister,
                    lookout=lookout,
                    recorder=recorder,
                    intake=intake,
                    pacer=pacer,
                    watch=note,
                )

                queue = StudyQueue(
                    database,
                    record,
                    peer.name,
                    studies,
                    node=node,
                    method=line(lambda: None).method,
                    lister=lister,
                    senders=senders,
                    skip=note,
                    policy=patience.policy,
                )
                mover = Mover(
                    means,
                    record,
                    queue,
                    studies,
                    line=line,
                    lines=lines,
                    proceed=proceed,
                    guard=guard or Unguarded(),
                )
                try:
                    await mover.run()
                finally:
                    await _let_go(database, record, queue)
        finally:
            report = notes.report(peer.name, studies=studies.studies)
            record.counts = report.counts()
            record.partial = bool(report.incomplete)
    return report


async def _let_go(database: Database, record: RunningCycle, queue: StudyQueue) -> None:
    """End the attempts that have come to no verdict."""
    try:
        async with asyncio.timeout(_TO_LET_GO):
            await queue.close()
            await database.run(interrupt_attempts, cycle_ids=[record.id])
    except (SchemaError, TimeoutError) as error:  # whoever ends the cycle of a dead process does it
        log.warning("Attempts are left without an end: %s", error)
