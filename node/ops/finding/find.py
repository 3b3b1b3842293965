"""Find: ask a peer which studies it has, and record them and what was asked.

Every window asked is recorded with its outcome, so that "no studies" and "the query failed"
are never the same thing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from node.dicom.profile import PeerProfile
from node.dicom.query import Plan, Reply, StudyQuery, by_key, in_lists
from node.errors import NodeError, PeerRefused, PeerUnreachable
from node.net.messages import Peer
from node.ops.cycles import RunningCycle, cycle
from node.ops.finding.asking import Brought, Questioned, Questioner
from node.ops.finding.gone import note_gone
from node.ops.finding.ledger import WindowLedger
from node.ops.finding.planning.cutting import AXES
from node.ops.finding.planning.planner import Planner
from node.ops.finding.planning.tree import Heard, Node, WindowOutcome
from node.ops.finding.report import FindReport, WindowResult
from node.ops.stalls import TimeLimits
from schema import Database
from schema.cycles import add_window
from schema.finding.windows import widest_answered

WindowWatcher = Callable[[WindowResult], None]
"""Told what each question came to."""

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
    one = _Find(asker, node, watch)
    if any(query.study_uids for query in queries):
        plan = _chained([in_lists(query) for query in queries])
        return await _run(one, node, lambda record: one.follow(plan, record))
    async with database.session() as session:
        widest = await widest_answered(session, peer.name)
    planner = Planner(queries, known, axes=axes, undated=undated, widest=widest)
    return await _run(one, node, lambda record: one.cover(planner, record))


async def find_by_key(
    database: Database,
    peer: Peer,
    *,
    study_uids: Sequence[str],
    accession_numbers: Sequence[str],
    node: str,
    limits: TimeLimits,
    keywords: Sequence[str] = (),
    watch: WindowWatcher = lambda _: None,
) -> FindReport:
    """Query a peer for single studies, over one association, and record those that it has.

    UIDs are asked for in lists, accession numbers one by one; otherwise as `find`.
    """
    plan = by_key(study_uids, accession_numbers)
    one = _Find(Questioner(database, peer, limits, keywords=keywords), node, watch)
    return await _run(one, node, lambda record: one.follow(plan, record))


async def _run(
    one: "_Find", node: str, work: Callable[[RunningCycle], Awaitable[None]]
) -> FindReport:
    async with cycle(one.asker.database, "find", peer=one.asker.peer.name, node=node) as record:
        try:
            await work(record)
        except BaseException:
            await one.asker.line.abort()  # a release would wait for an answer that we gave up
            raise
        finally:
            report = one.report()
            record.counts = report.counts()
            record.partial = bool(report.failures)
        await one.asker.line.close()
    return report


class _Find:
    """One find, over one association that is made again when it is lost."""

    def __init__(self, asker: Questioner, node: str, watch: WindowWatcher) -> None:
        self.asker = asker
        self._node = node
        self._watch = watch
        self._windows: list[WindowResult] = []
        self._gaps: tuple[WindowResult, ...] | None = None
        self._gone = 0
        self._contradiction: tuple[str, str] | None = None
        self._lost: NodeError | None = None

    def report(self) -> FindReport:
        """Return what it has come to so far."""
        return FindReport(
            peer=self.asker.peer.name,
            windows=tuple(self._windows),
            gaps=self._gaps,
            gone=self._gone,
            contradiction=self._contradiction,
        )

    async def follow(self, plan: Plan, record: RunningCycle) -> None:
        """Ask for single studies as the plan says, and record each answer."""
        query = next(plan, None)
        while query is not None:
            await record.may_go_on(self.asker.line.close)
            asked = await self._ask(query)
            if (
                asked.answer.outcome is WindowOutcome.FAILED
                and asked.answer.retry
                and not self._lost
            ):
                asked = await self._ask(query)
            self._note(asked)
            await self._record(record, query, asked)
            if asked.answer.outcome is WindowOutcome.COMPLETE:
                self._gone += await note_gone(
                    self.asker.database,
                    self.asker.peer.name,
                    query,
                    answered=asked.tally.study_uids | asked.tally.outside,
                    asked_on=asked.answer.asked_on,
                )
            reply = Reply(
                complete=asked.answer.outcome is WindowOutcome.COMPLETE,
                refused=asked.answer.outcome is WindowOutcome.REFUSED,
                study_uids=frozenset(asked.tally.study_uids),
            )
            try:
                query = plan.send(reply)
            except StopIteration:
                break
        self._raise_if_vain()

    async def cover(self, planner: Planner, record: RunningCycle) -> None:
        """Ask what the planner says, and record each answer with what is known by then."""
        ledger = WindowLedger(self.asker.database, self.asker.peer.name, record.id, node=self._node)
        await ledger.resume()
        try:
            while (ask := planner.next()) is not None:
                base = ask.node.top.query
                asked: Questioned | None = None
                answer = ledger.recall(ask.node) if ask.attempt == 1 else None
                if answer is None:
                    await record.may_go_on(self.asker.line.close)
                    if ask.attempt > 1 and not self._lost:
                        await asyncio.sleep(_PAUSE * 2 ** (ask.attempt - 2))
                    asked = await self._ask(ask.query, within=base)
                    answer = asked.answer
                planner.take(answer)
                await ledger.record(ask.node, asked, planner.changed(), base)
                if asked is not None:
                    self._note(asked)
        finally:
            self._gaps = tuple(_gap(node) for node in planner.gaps())
            self._contradiction = planner.known.contradiction()
        await self._note_gone(planner)
        self._raise_if_vain()

    async def _note_gone(self, planner: Planner) -> None:
        """Note what the peer has no more, once nothing can shake the proof of a window."""
        for node in planner.proven():
            if node.standing is not None and node.standing.covered_on is not None:
                self._gone += await note_gone(
                    self.asker.database,
                    self.asker.peer.name,
                    node.query,
                    answered=self.asker.heard,
                    asked_on=node.standing.covered_on,
                )

    async def _ask(self, query: StudyQuery, *, within: StudyQuery | None = None) -> Questioned:
        """Ask one question; once the peer cannot be reached any more, none is asked."""
        for pause in (_PAUSE, 2 * _PAUSE, None):
            if self._lost is not None:
                break
            try:
                return await self.asker.ask(query, within=within)
            except (PeerUnreachable, PeerRefused) as error:
                away = isinstance(error, PeerUnreachable) or error.transient
                if pause is None or not away or not self._windows:
                    self._lost = error
                else:  # it has answered before
                    await asyncio.sleep(pause)
        message = str(self._lost)
        now = datetime.now(UTC).replace(tzinfo=None)
        return Questioned(
            result=WindowResult(query=query, outcome=WindowOutcome.FAILED, message=message),
            answer=Heard(outcome=WindowOutcome.FAILED, asked_on=now, message=message, lost=True),
            tally=Brought(),
        )

    def _note(self, asked: Questioned) -> None:
        self._windows.append(asked.result)
        self._watch(asked.result)

    def _raise_if_vain(self) -> None:
        if self._lost is not None and all(one.outcome == "failed" for one in self._windows):
            raise self._lost

    async def _record(self, record: RunningCycle, query: StudyQuery, asked: Questioned) -> None:
        async with self.asker.database.begin() as session:
            await add_window(
                session,
                cycle_id=record.id,
                peer=self.asker.peer.name,
                query=query.keys(),
                start_date=query.window.start,
                end_date=query.window.end,
                outcome=asked.result.outcome,
                matches=asked.result.found,
                message=asked.result.message or None,
            )


def _gap(node: Node) -> WindowResult:
    standing = node.standing
    return WindowResult(
        query=node.query,
        outcome=WindowOutcome.FAILED if standing is None else standing.outcome,
        message="not asked" if standing is None else standing.message,
    )


def _chained(plans: Sequence[Plan]) -> Plan:
    for plan in plans:
        yield from plan
