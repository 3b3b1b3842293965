"""What is here, what is missing, and whether the node is running."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from node.config import Config
from node.errors import StorageError
from node.ops.cycles import end_the_dead
from node.ops.running import is_running_here
from node.storage.folders import count_spooled
from schema.accounting.tallies import PeerTally, one_view, tally_peers
from schema.engine.database import Database
from schema.finding.profiles import KeptProbe, newest_probes
from schema.reports import (
    StudySummary,
    Summary,
    recent_studies,
    summary,
)

TO_ANSWER = 60.0
"""Seconds that the database has to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What can be said without the database.

    Attributes
    ----------
    running
        Whether a node answers under our AE title at our address.
    waiting
        Objects that were received and wait to be indexed; None when nobody can tell.
    trouble
        Why nobody can; else empty.
    """

    running: bool
    waiting: int | None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """What the database says: its numbers, those of each peer, and the latest studies.

    Attributes
    ----------
    peers
        Those of the configuration in its order, then by name the others that have studies, or have
        had a cycle.
    probes
        The newest probe of each peer that was ever probed.
    """

    summary: Summary
    peers: list[PeerTally]
    studies: list[StudySummary]
    probes: Mapping[str, KeptProbe]


async def node_state(config: Config) -> NodeState:
    """Ask the node, and count what lies in its spool."""
    running = await is_running_here(config)
    try:
        waiting = await asyncio.to_thread(count_spooled, config.storage.directory)
    except StorageError as error:
        return NodeState(running=running, waiting=None, trouble=str(error))
    return NodeState(running=running, waiting=waiting)


async def index_state(
    config: Config, database: Database, *, limit: int, peer: str | None = None
) -> IndexState:
    """Count what is in the database, and list its latest studies.

    Parameters
    ----------
    limit
        How many studies, the latest first.
    peer
        Only the cycles, the numbers and the studies of this peer.

    Raises
    ------
    DatabaseUnavailable
    """
    await end_the_dead(database, config.node.aetitle)
    async with database.session() as session:
        await one_view(session)
        counted = await summary(session)
        tallies = {one.peer: one for one in await tally_peers(session, known=counted.found)}
        studies = await recent_studies(session, limit=limit, peer=peer)
        probes = await newest_probes(session, [] if peer is None else [peer])
    strangers = {*tallies, *(cycle.peer for cycle in counted.last_cycles if cycle.peer)}
    strangers.difference_update(config.peers)
    names = [*config.peers, *sorted(strangers, key=lambda name: (name is None, name or ""))]
    of_peers = [tallies.get(one) or PeerTally(peer=one, found=0, complete=0) for one in names]
    if peer is not None:
        of_peers = [tally for tally in of_peers if tally.peer == peer]
        of_peer = tuple(cycle for cycle in counted.last_cycles if cycle.peer == peer)
        counted = replace(counted, last_cycles=of_peer)
    return IndexState(summary=counted, peers=of_peers, studies=studies, probes=probes)
