"""Find: ask a peer which studies it has, and record them and what was asked.

Every window asked is recorded with its outcome, so that "no studies" and "the query failed"
are never the same thing.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

from pydicom.dataset import Dataset

from node.dicom.query import (
    Plan,
    Reply,
    StudyQuery,
    by_key,
    day_by_day,
    matches,
    more_keys,
    study_identifier,
    text_of,
)
from node.errors import (
    AssociationLost,
    NodeError,
    PeerFailure,
    PeerRefused,
    PeerStalled,
    PeerUnreachable,
)
from node.net.dimse.contexts import Service
from node.net.messages import Peer
from node.net.scu.requestor import ServiceUser
from node.ops.cycles import RunningCycle, cycle
from node.ops.finding.gone import note_gone
from node.ops.finding.report import FindReport, WindowResult
from node.ops.line import Line
from node.ops.stalls import TimeLimits, limited
from schema import AsyncSession, Database, dcm2study_finding, record_found
from schema.cycles import add_window
from schema.errors import ValuesRefused
from schema.found import Found
from schema.header.values import parse_date
from schema.project.entries import add_known_studies
from schema.tables.columns import utcnow

log = logging.getLogger(__name__)

WindowWatcher = Callable[[WindowResult], None]
"""Told what each question came to."""

_AT_ONCE = 500
"""Identifiers that are held before they are recorded."""


async def find(
    database: Database,
    peer: Peer,
    queries: Sequence[StudyQuery],
    *,
    node: str,
    limits: TimeLimits,
    project_id: int | None = None,
    keywords: Sequence[str] = (),
    watch: WindowWatcher = lambda _: None,
) -> FindReport:
    """Query a peer day by day, over one association, and record its studies.

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
    one = _Find(database, peer, limits, project_id=project_id, keywords=keywords)
    return await _run(one, day_by_day(queries), node=node, watch=watch)


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
    one = _Find(database, peer, limits, keywords=keywords)
    return await _run(one, plan, node=node, watch=watch)


async def _run(one: "_Find", plan: Plan, *, node: str, watch: WindowWatcher) -> FindReport:
    async with cycle(one.database, "find", peer=one.report().peer, node=node) as record:
        try:
            await one.run(plan, record, watch)
        finally:
            report = one.report()
            record.counts = report.counts()
            record.partial = bool(report.failures)
    return report


@dataclass(slots=True)
class _Tally:
    """What one window brought so far."""

    found: int = 0
    new: int = 0
    changed: int = 0
    outside: int = 0
    undecodable: int = 0
    study_uids: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)


class _Find:
    """One find, over one association that is made again when it is lost."""

    def __init__(
        self,
        database: Database,
        peer: Peer,
        limits: TimeLimits,
        *,
        project_id: int | None = None,
        keywords: Sequence[str] = (),
    ) -> None:
        self.database = database
        self._peer = peer
        self._limits = limits
        self._windows: list[WindowResult] = []
        self._project_id = project_id
        self._keywords = more_keys(keywords)
        self._seen: set[str] = set()
        self._line = Line(peer, Service.FIND)

    def report(self) -> FindReport:
        """Return what it has come to so far."""
        return FindReport(peer=self._peer.name, windows=tuple(self._windows))

    async def run(self, plan: Plan, record: RunningCycle, watch: WindowWatcher) -> None:
        """Ask what the plan says, and record each answer."""
        lost: NodeError | None = None
        try:
            query = next(plan, None)
            while query is not None:
                uids: frozenset[str] = frozenset()
                await record.may_go_on(self._line.close)
                try:
                    if lost is not None:  # the remaining windows are recorded as not answered
                        raise lost
                    result, uids = await self._ask(query)
                except (PeerUnreachable, PeerRefused) as error:
                    lost = error
                    result = WindowResult(query=query, outcome="failed", message=str(error))
                self._windows.append(result)
                await self._record_window(record, result)
                watch(result)
                reply = Reply(
                    complete=result.outcome == "complete",
                    refused=result.outcome == "refused",
                    study_uids=uids,
                )
                try:
                    query = plan.send(reply)
                except StopIteration:
                    break
        except BaseException:
            await self._line.abort()  # a release would wait for the answer that we gave up
            raise
        await self._line.close()
        if lost is not None and len(self.report().failures) == len(self._windows):
            raise lost

    async def _ask(self, query: StudyQuery) -> tuple[WindowResult, frozenset[str]]:
        """Ask one question, a second time when the association is lost on the way."""
        tally = _Tally()
        asked_on = utcnow()
        outcome, message = "complete", ""
        for _ in range(2):
            outcome, message = "complete", ""
            try:
                association = await self._line.get()
                async with limited(f"the C-FIND at {self._peer.name}", self._limits) as progressed:
                    await self._take(association, query, tally, progressed)
            except AssociationLost as error:
                await self._line.abort()
                log.warning("Window %s: %s", query.window, error)
                outcome, message = "failed", str(error)
                continue
            except PeerStalled as error:  # a second time would take as long
                await self._line.abort()
                outcome, message = "failed", str(error)
            except PeerFailure as error:
                outcome, message = "refused", str(error)
            break
        if tally.undecodable and outcome == "complete":
            outcome = "failed"
            message = f"{tally.undecodable} answers could not be decoded or recorded"
        gone = 0
        if outcome == "complete":
            gone = await note_gone(
                self.database, self._peer.name, query, answered=tally.heard, asked_on=asked_on
            )
        result = WindowResult(
            query=query,
            gone=gone,
            outcome=outcome,
            message=message,
            found=tally.found,
            new=tally.new,
            changed=tally.changed,
            outside=tally.outside,
        )
        return result, frozenset(tally.study_uids)

    async def _take(
        self,
        association: ServiceUser,
        query: StudyQuery,
        tally: _Tally,
        progressed: Callable[[], None],
    ) -> None:
        """Record the answers to one question, those before a failure included."""
        waiting: list[Dataset] = []
        heard: set[str] = set()  # of this very answer
        try:
            identifier = study_identifier(query, query.window, self._keywords)
            async for answer in association.find(identifier):
                try:
                    uid = text_of(answer, "StudyInstanceUID")
                    wanted = uid and matches(query, query.window, answer, _study_date(answer))
                    dcm2study_finding(answer)
                except Exception as error:  # noqa: BLE001 - decoding is lazy, its errors are many
                    log.warning(
                        "Window %s: undecodable answer: %s", query.window, type(error).__name__
                    )
                    tally.undecodable += 1
                    continue
                if uid not in heard:  # a peer can say the same for ever
                    heard.add(uid)
                    tally.heard.add(uid)
                    progressed()
                if not wanted:
                    tally.outside += 1
                    continue
                tally.study_uids.add(uid)
                if uid not in self._seen:
                    self._seen.add(uid)
                    tally.found += 1
                    waiting.append(answer)
                    if len(waiting) >= _AT_ONCE:
                        await self._flush(waiting, tally)
        finally:
            await self._flush(waiting, tally)

    async def _flush(self, waiting: list[Dataset], tally: _Tally) -> None:
        if waiting:
            await self._keep(waiting, tally)
            waiting.clear()

    async def _keep(self, answers: Sequence[Dataset], tally: _Tally) -> None:
        """Record answers; one that the database refuses is none, and the others are kept."""

        async def record(session: AsyncSession) -> list[Found]:
            outcomes = await record_found(
                session, answers, peer=self._peer.name, keywords=self._keywords
            )
            if self._project_id is not None:
                await add_known_studies(
                    session, self._project_id, [found.study_uid for found in outcomes]
                )
            return outcomes

        try:
            outcomes = await self.database.run(record)
        except ValuesRefused as error:
            if len(answers) > 1:  # one of them is the cause: the others go on
                for answer in answers:
                    await self._keep([answer], tally)
                return
            log.warning("A study that %s has cannot be recorded: %s", self._peer.name, error)
            uid = text_of(answers[0], "StudyInstanceUID")
            self._seen.discard(uid)
            tally.study_uids.discard(uid)
            tally.found -= 1
            tally.undecodable += 1
            return
        tally.new += sum(found.outcome == "new" for found in outcomes)
        tally.changed += sum(found.outcome == "changed" for found in outcomes)

    async def _record_window(self, record: RunningCycle, result: WindowResult) -> None:
        async with self.database.begin() as session:
            await add_window(
                session,
                cycle_id=record.id,
                peer=self._peer.name,
                query=result.query.keys(),
                start_date=result.query.window.start,
                end_date=result.query.window.end,
                outcome=result.outcome,
                matches=result.found,
                message=result.message or None,
            )


def _study_date(answer: Dataset) -> date | None:
    return parse_date(text_of(answer, "StudyDate"))
