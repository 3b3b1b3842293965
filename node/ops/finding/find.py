"""Find: ask a peer which studies it has, and record them and what was asked.

Every window asked is recorded with its outcome, so that "no studies" and "the query failed"
are never the same thing.
"""

import asyncio
from collections.abc import Sequence

from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery
from node.net.messages import Peer
from node.ops.cycles import RunningCycle
from node.ops.finding.asking import Questioned, Questioner
from node.ops.finding.gone import note_gone
from node.ops.finding.inquiry import Inquiry, WindowWatcher
from node.ops.finding.ledger import WindowLedger
from node.ops.finding.planning.cutting import AXES
from node.ops.finding.planning.expected import Expected
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Node, WindowOutcome
from node.ops.finding.report import FindReport, WindowResult
from node.ops.finding.repository import repository_line, without_a_cap
from node.ops.stalls import TimeLimits
from schema import Database
from schema.finding.known import known_per_day
from schema.finding.profiles import mark_stale
from schema.finding.windows import widest_answered

_PAUSE = 1.0
"""Seconds before a question is put for the second time; doubled before the third."""


async def find(
    database: Database,
    peer: Peer,
    queries: Sequence[StudyQuery],
    *,
    node: str,
    limits: TimeLimits,
    profile: PeerProfile | None = None,
    axes: Sequence[str] = AXES,
    undated: bool = False,
    project_id: int | None = None,
    keywords: Sequence[str] = (),
    watch: WindowWatcher = lambda _: None,
) -> FindReport:
    """Query a peer window by window, over one association, and record its studies.

    Parameters
    ----------
    database
        Where `StudyFind` rows and windows are recorded.
    peer
        Whom to ask.
    queries
        What for; a study that several of them bring counts once.
    node
        Our AE title, for the record of the cycle.
    limits
        Of each question: how long it may take without a study that is new in its answer, and
        in all.
    profile
        What is known of the peer.
    axes
        The keys to split by where dates and times do not help.
    undated
        Whether to ask for the studies without a date as well.
    project_id
        The key of a project to which the studies that are found are added.
    keywords
        Attributes to ask for, and to record, beside those that the tables have columns for.
    watch
        Called with each window as it is done.

    Raises
    ------
    PeerUnreachable, PeerRefused
        No association was possible from the start. The windows are recorded as failed.
    """
    known = profile or PeerProfile()
    asker = Questioner(
        database,
        peer,
        limits,
        project_id=project_id,
        keywords=keywords,
        operations=known.operations,
    )
    async with database.session() as session:
        widest = await widest_answered(session, peer.name)
        expected = Expected.of(await known_per_day(session, peer.name))
    inquiry = Inquiry(asker, node, watch)

    async def work(record: RunningCycle) -> None:
        planned = known
        if (line := await repository_line(peer, planned)) is not None:
            asker.line, planned = line, without_a_cap(planned)
        planner = Planner(
            queries, planned, axes=axes, undated=undated, widest=widest, expected=expected
        )
        await _cover(inquiry, planner, record, node)

    return await inquiry.run(work)


async def _cover(inquiry: Inquiry, planner: Planner, record: RunningCycle, node: str) -> None:
    """Ask what the planner says, and record each answer with what is known by then."""
    asker = inquiry.asker
    ledger = WindowLedger(asker.database, asker.peer.name, record.id, node=node)
    await ledger.resume()
    try:
        while (ask := planner.next()) is not None:
            base = ask.node.top.query
            asked: Questioned | None = None
            answer = ledger.recall(ask.node) if ask.attempt == 1 else None
            if answer is None:
                await record.may_go_on(asker.line.close)
                if ask.attempt > 1 and not inquiry.is_lost:
                    await asyncio.sleep(_PAUSE * 2 ** (ask.attempt - 2))
                asked = await inquiry.ask(ask.query, within=base)
                answer = asked.answer
            planner.take(answer)
            await ledger.record(ask.node, asked, planner.changed(), base)
            if asked is not None:
                inquiry.note(asked)
    finally:
        inquiry.gaps = tuple(_gap(node) for node in planner.gaps())
    await _note_gone(inquiry, planner)
    await _note_denial(inquiry, planner)
    inquiry.raise_if_vain()


async def _note_denial(inquiry: Inquiry, planner: Planner) -> None:
    """Note that the peer does otherwise than its probe says: the next find does not rely on it."""
    if planner.known.denied:
        async with inquiry.asker.database.begin() as session:
            await mark_stale(session, inquiry.asker.peer.name, planner.known.denied)


async def _note_gone(inquiry: Inquiry, planner: Planner) -> None:
    """Note what the peer has no more, once nothing can shake the proof of a window."""
    for node in planner.proven():
        if node.standing is not None and node.standing.covered_on is not None:
            inquiry.gone += await note_gone(
                inquiry.asker.database,
                inquiry.asker.peer.name,
                node.query,
                answered=inquiry.asker.left,
                asked_on=node.standing.covered_on,
                seen_since=inquiry.asker.began,
            )


def _gap(node: Node) -> WindowResult:
    standing = node.standing
    return WindowResult(
        query=node.query,
        outcome=WindowOutcome.FAILED if standing is None else standing.outcome,
        message="not asked" if standing is None else standing.message,
    )
