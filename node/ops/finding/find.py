"""Find: ask a peer which studies it has, and record them and what was asked.

Every window asked is recorded with its outcome, so that "no studies" and "the query failed"
are never the same thing.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime

from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.cycling.running import RunningCycle
from node.ops.finding.answers.brought import Answered
from node.ops.finding.asking import Questioner
from node.ops.finding.inquiry import Inquiry, WindowWatcher
from node.ops.finding.late import came_late, last_ended
from node.ops.finding.ledger import WindowLedger
from node.ops.finding.planning.cutting import AXES
from node.ops.finding.planning.expecting import Expectation
from node.ops.finding.planning.known_days import KnownDays
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Ask, Heard
from node.ops.finding.proving.asked import asked_dates
from node.ops.finding.proving.gaps import gaps_left, planned_gap
from node.ops.finding.proving.resuming import answers_as_before
from node.ops.finding.report import FindReport, FindResumed
from node.ops.finding.repository import repository_line, without_a_cap
from node.ops.finding.trail import Trail
from node.ops.finding.witnesses import confirm_gone
from node.ops.stalls import TimeLimits
from schema import Database
from schema.finding.per_day import known_per_day
from schema.finding.seen import found_in_all, seen_of_dates
from schema.finding.windows import cut_at, was_silent, widest_answered
from schema.hierarchy.gone import Unseen, last_source_key
from schema.project.entries import add_known_studies

_PAUSE = 1.0
"""Seconds before a question is put for the second time; doubled before the third."""

_AT_ONCE = 1000
"""Studies that are added to a project at once."""


async def find(
    database: Database,
    peer: Peer | WebPeer,
    queries: Sequence[StudyQuery],
    *,
    node: str,
    limits: TimeLimits,
    profile: PeerProfile | None = None,
    axes: Sequence[str] = AXES,
    project_id: int | None = None,
    keywords: Sequence[str] = (),
    expected: Expectation | None = None,
    proceed: Callable[[], bool] = lambda: True,
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
    project_id
        The key of a project to which the studies that are found are added.
    keywords
        Attributes to ask for, and to record, beside those that the tables have columns for.
    expected
        The studies that earlier finds have found.
    proceed
        Asked before each question; the find stops when it says no.
    watch
        Called with each window as it is done.

    Raises
    ------
    Busy
        Another find of dates is at this peer; nothing was asked.
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
        cut = await cut_at(session, peer.name)
        silent = await was_silent(session, peer.name)
        seen = KnownDays.of(await known_per_day(session, peer.name))
    inquiry = Inquiry(asker, node, watch, dates=asked_dates(queries))

    async def work(record: RunningCycle) -> None:
        planned = known
        if (line := await repository_line(peer, planned)) is not None:
            asker.line, planned = line, without_a_cap(planned)
        planner = Planner(
            queries,
            planned,
            axes=axes,
            widest=widest,
            cut=cut or 0,
            silent=silent,
            expected=expected,
            known=seen,
        )
        before = await last_ended(database, peer.name)
        await _cover(inquiry, queries, planner, record, proceed)
        inquiry.gaps = await gaps_left(
            database, peer.name, queries, planner.gaps(), cycle_id=record.id
        )
        if not inquiry.stopped:
            inquiry.absent = tuple(_brought_nothing(queries, planner))
        if not inquiry.stopped:  # the next one tells, which goes on with it
            inquiry.late = await came_late(database, peer.name, before)
        inquiry.raise_if_vain()

    return await inquiry.run(work)


async def _cover(
    inquiry: Inquiry,
    queries: Sequence[StudyQuery],
    planner: Planner,
    record: RunningCycle,
    proceed: Callable[[], bool],
) -> None:
    """Ask what the planner says, and record each answer with what is known by then."""
    asker = inquiry.asker
    ledger = WindowLedger(asker.database, asker.peer.name, record.id)
    await ledger.resume()
    if (
        ledger.windows
        and proceed()
        and not await answers_as_before(inquiry, record, ledger, queries)
    ):
        ledger.forget()
    async with asker.database.session() as session:
        last_key = await last_source_key(session)
    trail = Trail(inquiry, planner, ledger)
    try:
        try:
            while (ask := planner.next()) is not None:
                asked: Answered | None = None
                heard = _recalled(ledger, ask, inquiry)
                if heard is None:
                    if not proceed():
                        inquiry.stopped = True
                        break
                    await record.may_go_on(asker.line.close)
                    if ask.attempt > 1 and inquiry.lost is None:
                        await asyncio.sleep(_PAUSE * 2 ** (ask.attempt - 2))
                    asked = await inquiry.put(ask.query, within=ask.node.top.query)
                    heard = asked.heard
                await trail.take(ask.node, heard, asked)
        except BaseException:
            await trail.leave()
            raise
        await trail.finish()
        since = asker.began if ledger.since is None else min(asker.began, ledger.since)
        if asker.project_id is not None and ledger.since is not None:
            await _add_recalled(asker, asker.project_id, planner, since)
        if not inquiry.stopped:
            await confirm_gone(inquiry, planner, record, Unseen(since=since, last_key=last_key))
        if ledger.recalled:
            async with asker.database.session() as session:
                inquiry.in_all = await found_in_all(
                    session,
                    asker.peer.name,
                    cycles=(*ledger.cycles, record.id),
                    since=since,
                    asked=inquiry.dates or (),
                )
    finally:
        asked_gaps = (node for node in planner.gaps() if node.answer is not None)
        inquiry.gaps = tuple(planned_gap(node) for node in asked_gaps)
        inquiry.contradiction = planner.known.contradiction() or inquiry.contradiction
    await ledger.settle(planner.nodes)


def _brought_nothing(queries: Sequence[StudyQuery], planner: Planner) -> Iterator[StudyQuery]:
    """Yield those that name something of which nothing came, and no gap is left."""
    if not any(query.names_any for query in queries):
        return
    brought = (node for node in planner.nodes if node.answer is not None and node.answer.matches)
    tops = {node.top.query for node in (*brought, *planner.gaps())}
    for query in queries:
        if query.names_any and not any(_is_part(one, query) for one in tops):
            yield query


def _is_part(one: StudyQuery, of: StudyQuery) -> bool:
    inside = of.window.start is None or (one.window.start or date.min) >= of.window.start
    return (
        one.keys() == of.keys()
        and inside
        and (of.window.end is None or (one.window.end or date.max) <= of.window.end)
    )


def _recalled(ledger: WindowLedger, ask: Ask, inquiry: Inquiry) -> Heard | None:
    """Return the answer that an interrupted find had; None where it has to be asked for."""
    asker = inquiry.asker
    if asker.project_id is not None and not _is_of_dates(ask.node.top.query):
        return None
    heard = ledger.recall(ask.node)
    if heard is not None and not inquiry.recalled:
        cycles, windows = ledger.cycles, ledger.windows
        inquiry.tell(FindResumed(peer=asker.peer.name, cycles=cycles, windows=windows))
    inquiry.recalled = ledger.recalled
    return heard


def _is_of_dates(query: StudyQuery) -> bool:
    """Tell whether the studies of a query can be told by their dates alone."""
    return not query.keys() and not query.window.undated


async def _add_recalled(
    asker: Questioner, project_id: int, planner: Planner, since: datetime
) -> None:
    """Add to a project what an interrupted find has found, and is not asked for again."""
    for query in dict.fromkeys(node.top.query for node in planner.nodes):
        after = 0 if _is_of_dates(query) else None
        while after is not None:
            async with asker.database.begin() as session:
                rows = await seen_of_dates(
                    session,
                    asker.peer.name,
                    since=since,
                    start=query.window.start,
                    end=query.window.end,
                    after=after,
                    limit=_AT_ONCE,
                )
                await add_known_studies(session, project_id, [uid for _, uid in rows])
            after = rows[-1][0] if rows else None
