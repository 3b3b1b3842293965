"""What is here, what is missing, and whether the node is running."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from node.config import Config
from node.errors import StorageError
from node.ops.accounting.expecting import BASIS, Forecast, expected, without_a_node
from node.ops.cycles import end_the_dead
from node.ops.guarding.budgets import uses
from node.ops.guarding.entering import PeerWait, waits
from node.ops.running import is_running_here
from node.storage.folders import count_spooled, free_bytes
from schema import AsyncSession, Database
from schema.accounting.moment import side_by_side
from schema.accounting.rates import Rate, rates
from schema.accounting.tallies import tally_peers, tally_sources
from schema.accounting.tally import PeerTally
from schema.committing.listing import OpenCommitments, open_commitments
from schema.coverage.gaps import Gap
from schema.coverage.ledger import get_coverage
from schema.finding.profiles import KeptProbe, newest_probes
from schema.guarding.breakers import breakers
from schema.politeness.throttles import PeerThrottled, throttles
from schema.reports import (
    StudySummary,
    Summary,
    recent_studies,
    summary,
)
from schema.tables.columns import utcnow
from schema.tables.ledger import UNFINISHED

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
    free
        Bytes that the filesystem of the storage directory has left for us; None when nobody can
        tell, as before the node has received for the first time.
    as_of
        When it was looked at, naive UTC.
    """

    running: bool
    waiting: int | None
    trouble: str = ""
    free: int | None = None
    as_of: datetime


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
    as_of
        When the database was looked at, naive UTC: all of it is as it was then.
    hour, day
        What each peer has given in the hour and in the day before.
    rest
        How long the rest of each peer takes.
    gaps
        By peer, how many gaps there are in what finds without further keys have asked for, and the
        one with the oldest dates.
    waits
        Why the daemon moves nothing from a peer, or one study alone, by peer.
    throttles
        How much each node asks of each peer at once.
    commitments
        The requests for storage commitment that are open.
    """

    summary: Summary
    peers: list[PeerTally]
    studies: list[StudySummary]
    probes: Mapping[str, KeptProbe]
    as_of: datetime
    hour: Mapping[str, Rate]
    day: Mapping[str, Rate]
    rest: Mapping[str, Forecast]
    gaps: Mapping[str, tuple[int, Gap]]
    waits: Mapping[str, PeerWait]
    throttles: Sequence[PeerThrottled]
    commitments: Sequence[OpenCommitments]


async def node_state(config: Config) -> NodeState:
    """Ask the node, and count what lies in its spool."""
    running = await is_running_here(config)
    free, now = await asyncio.to_thread(_free, config.storage.directory), utcnow()
    try:
        waiting = await asyncio.to_thread(count_spooled, config.storage.directory)
    except StorageError as error:
        return NodeState(running=running, waiting=None, trouble=str(error), free=free, as_of=now)
    return NodeState(running=running, waiting=waiting, free=free, as_of=now)


def _free(directory: Path) -> int | None:
    try:
        return free_bytes(directory)
    except StorageError:
        return None


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
    async with side_by_side(database) as (session, beside):
        as_of = utcnow()
        counted, sources = await _both(session, beside, now=as_of)
        found = await tally_peers(session, known=counted.found, sources=sources, now=as_of)
        tallies = {one.peer: one for one in found}
        studies = await recent_studies(session, limit=limit, peer=peer)
        probes = await newest_probes(session, [] if peer is None else [peer])
        asked = [name for name in tallies if name is not None and peer in (None, name)]
        hour, day, basis = [
            await rates(session, asked, since=as_of - span, until=as_of)
            for span in (timedelta(hours=1), timedelta(days=1), BASIS)
        ]
        coverage = await get_coverage(session, peer=peer)
        held_back = await waits(config, session, [one for one in asked if one in config.peers])
        spent = await uses(config, session, asked, now=as_of.replace(tzinfo=UTC))
        broken = await breakers(session)
        commitments = await open_commitments(session)
        throttled = await throttles(session, peers=asked) if asked else []
    strangers = {*tallies, *(cycle.peer for cycle in counted.last_cycles if cycle.peer)}
    strangers.difference_update(config.peers)
    names = [*config.peers, *sorted(strangers, key=lambda name: (name is None, name or ""))]
    of_peers = [tallies.get(one) or PeerTally(peer=one, found=0, complete=0) for one in names]
    if peer is not None:
        of_peers = [tally for tally in of_peers if tally.peer == peer]
        of_peer = tuple(cycle for cycle in counted.last_cycles if cycle.peer == peer)
        counted = replace(counted, last_cycles=of_peer)
    known = {name: one for name, one in tallies.items() if name is not None}
    rest = expected(config, asked, known, basis, spent, broken=broken, now=as_of)
    return IndexState(
        summary=counted,
        peers=of_peers,
        studies=studies,
        probes=probes,
        as_of=as_of,
        hour=hour,
        day=day,
        rest={one.peer: one for one in rest},
        gaps={one.peer: _oldest(one.gaps) for one in coverage if one.gaps and not one.query},
        waits=held_back,
        throttles=throttled,
        commitments=commitments,
    )


def as_it_runs(index: IndexState, node: NodeState) -> IndexState:
    """Return what the database says, without a date where nobody moves from a peer now.

    No node runs at our address, and no move of another process, of this machine or of another one
    that shares the database, is under way.
    """
    if node.running:
        return index
    moves = [one for one in index.summary.last_cycles if one.kind == "move"]
    moved = {one.peer for one in moves if one.outcome in UNFINISHED and not one.silent}
    rest = {
        name: said if name in moved else without_a_node(said) for name, said in index.rest.items()
    }
    return replace(index, rest=rest)


async def _both(
    session: AsyncSession, beside: AsyncSession, *, now: datetime
) -> tuple[Summary, Mapping[str | None, PeerTally]]:
    """Count studies and their sources: at once, where there are two sessions for it."""
    if beside is session:
        return await summary(session), await tally_sources(session, now=now)
    summing = asyncio.create_task(summary(session))
    try:
        sources = await tally_sources(beside, now=now)
    except BaseException:
        summing.cancel()
        await asyncio.wait([summing])  # a session is not closed while it is asked
        raise
    return await summing, sources


def _oldest(gaps: Sequence[Gap]) -> tuple[int, Gap]:
    return len(gaps), min(gaps, key=lambda gap: (gap.undated, gap.first or date.min))
