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
from collections.abc import Callable, Mapping, Sequence

from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.cycles import RunningCycle, cycle
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
from schema.engine.claims import claiming
from schema.moving.attempts import begin_attempts, interrupt_attempts
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
    pacing: Pacing | None = None,
    watch: StudyWatcher = lambda _: None,
    proceed: Callable[[], bool] = lambda: True,
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
    pacing
        How gently it is asked; as fast as it goes, when None.
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

    async with cycle(database, "move", peer=peer.name, node=node) as record:
        try:
            async with (
                claiming(database) as claims,
                looking(database, intake) as lookout,
                recording(
                    database, peer.name, senders=senders, limits=patience.retries
                ) as recorder,
                pacing_of(
                    database, peer.name, pacing or Pacing(), node=node, lines=lines, is_busy=is_busy
                ) as pacer,
                Lister(database, peer, patience.query, pacer) as lister,
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
                    claims=claims,
                    pacer=pacer,
                    watch=note,
                )

                method = line(lambda: None).method

                async def begin(uids: Sequence[str]) -> Mapping[str, int]:
                    return await database.run(
                        begin_attempts,
                        uids,
                        peer=peer.name,
                        cycle_id=record.id,
                        node=node,
                        method=method,
                    )

                queue = StudyQueue(
                    database,
                    claims,
                    peer.name,
                    studies,
                    begin=begin,
                    lister=lister,
                    senders=senders,
                    skip=note,
                )
                mover = Mover(means, record, queue, line=line, lines=lines, proceed=proceed)
                try:
                    await mover.run()
                finally:
                    await _let_go(database, record)
        finally:
            report = notes.report(peer.name, studies=studies.studies)
            record.counts = report.counts()
            record.partial = bool(report.incomplete)
    return report


async def _let_go(database: Database, record: RunningCycle) -> None:
    """End the attempts that have come to no verdict."""
    try:
        async with asyncio.timeout(_TO_LET_GO):
            await database.run(interrupt_attempts, cycle_ids=[record.id])
    except (SchemaError, TimeoutError) as error:  # whoever ends the cycle of a dead process does it
        log.warning("Attempts are left without an end: %s", error)
