"""Find: ask a peer which studies it has, and record them and what was asked.

Every window asked is recorded with its outcome, so that "no studies" and "the query failed"
are never the same thing.
"""

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date

from pydicom.dataset import Dataset

from node.dicom.query import StudyQuery, Window, day_windows, matches, study_identifier, text_of
from node.errors import AssociationLost, NodeError, PeerFailure, PeerRefused, PeerUnreachable
from node.net.contexts import Service
from node.net.messages import Peer
from node.net.requestor import Association, associate
from node.ops.cycles import Cycle, cycle
from schema import Database, add_window, dcm2study_finding, record_found
from schema.values import parse_date

log = logging.getLogger(__name__)

_AT_ONCE = 500
"""Identifiers that are held before they are recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowResult:
    """One question that was put to a peer, and what came of it.

    Attributes
    ----------
    outcome
        `complete`; `refused` when the peer answered with a failure status; `failed` when it
        did not answer to the end, or was not asked because it could not be reached.
    found, new, changed
        Studies inside the window; those not known before; those known otherwise before.
    outside
        Answers that the question did not ask for, left out.
    message
        Why, when it is not complete.
    """

    window: Window
    outcome: str
    found: int = 0
    new: int = 0
    changed: int = 0
    outside: int = 0
    message: str = ""


@dataclass(slots=True, kw_only=True)
class FindReport:
    """What a find came to."""

    peer: str
    windows: list[WindowResult] = field(default_factory=list)

    @property
    def failures(self) -> list[WindowResult]:
        """The windows of which we still do not know what the peer has."""
        return [result for result in self.windows if result.outcome != "complete"]

    def counts(self) -> dict[str, int]:
        """Return the report's numbers, by name."""
        return {
            "windows": len(self.windows),
            "failed_windows": len(self.failures),
            "found": sum(result.found for result in self.windows),
            "new": sum(result.new for result in self.windows),
            "changed": sum(result.changed for result in self.windows),
            "outside": sum(result.outside for result in self.windows),
        }


Watcher = Callable[[WindowResult], None]


async def find(
    database: Database,
    peer: Peer,
    query: StudyQuery,
    *,
    node: str,
    watch: Watcher = lambda _: None,
) -> FindReport:
    """Query a peer day by day, and record its studies.

    Parameters
    ----------
    database
        Where `StudyFind` rows and windows are recorded.
    peer
        Whom to ask.
    query
        What for.
    node
        Our AE title, for the record of the cycle.
    watch
        Called with each window as it is done.

    Raises
    ------
    PeerUnreachable, PeerRefused
        No association was possible from the start. The windows are recorded as failed.
    """
    report = FindReport(peer=peer.name)
    async with cycle(database, "find", peer=peer.name, node=node) as record:
        try:
            await _Find(database, peer, query, record, report).run(watch)
        finally:
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


class _Find:
    """One find, over one association that is made again when it is lost."""

    def __init__(
        self,
        database: Database,
        peer: Peer,
        query: StudyQuery,
        record: Cycle,
        report: FindReport,
    ) -> None:
        self._database = database
        self._peer = peer
        self._query = query
        self._record = record
        self._report = report
        self._seen: set[str] = set()
        self._line = _Line(peer)

    async def run(self, watch: Watcher) -> None:
        lost: NodeError | None = None
        try:
            for window in day_windows(self._query.window):
                try:
                    if lost is not None:  # the remaining windows are recorded as not answered
                        raise lost
                    result = await self._ask(window)
                except (PeerUnreachable, PeerRefused) as error:
                    lost = error
                    result = WindowResult(window=window, outcome="failed", message=str(error))
                self._report.windows.append(result)
                await self._record_window(result)
                watch(result)
        except BaseException:
            await self._line.abort()  # a release would wait for the answer that we gave up
            raise
        await self._line.close()
        if lost is not None and len(self._report.failures) == len(self._report.windows):
            raise lost

    async def _ask(self, window: Window) -> WindowResult:
        """Ask for one window, a second time when the association is lost on the way."""
        tally = _Tally()
        outcome, message = "complete", ""
        for _ in range(2):
            outcome, message = "complete", ""
            try:
                association = await self._line.get()
                await self._take(association, window, tally)
            except AssociationLost as error:
                await self._line.abort()
                log.warning("Window %s: %s", window, error)
                outcome, message = "failed", str(error)
                continue
            except PeerFailure as error:
                outcome, message = "refused", str(error)
            break
        if tally.undecodable and outcome == "complete":
            outcome, message = "failed", f"{tally.undecodable} answers could not be decoded"
        return WindowResult(
            window=window,
            outcome=outcome,
            message=message,
            found=tally.found,
            new=tally.new,
            changed=tally.changed,
            outside=tally.outside,
        )

    async def _take(self, association: Association, window: Window, tally: _Tally) -> None:
        """Record the answers to one question, those before a failure included."""
        waiting: list[Dataset] = []
        try:
            async for answer in association.find(study_identifier(self._query, window)):
                try:
                    uid = text_of(answer, "StudyInstanceUID")
                    wanted = uid and matches(self._query, window, answer, _study_date(answer))
                    dcm2study_finding(answer)
                except Exception as error:  # noqa: BLE001 - decoding is lazy, its errors are many
                    log.warning("Window %s: undecodable answer: %s", window, type(error).__name__)
                    tally.undecodable += 1
                    continue
                if not wanted:
                    tally.outside += 1
                elif uid not in self._seen:
                    self._seen.add(uid)
                    tally.found += 1
                    waiting.append(answer)
                    if len(waiting) >= _AT_ONCE:
                        await self._flush(waiting, tally)
        finally:
            await self._flush(waiting, tally)

    async def _flush(self, waiting: list[Dataset], tally: _Tally) -> None:
        if not waiting:
            return
        async with self._database.begin() as session:
            outcomes = await record_found(session, waiting, peer=self._peer.name)
        tally.new += sum(found.outcome == "new" for found in outcomes)
        tally.changed += sum(found.outcome == "changed" for found in outcomes)
        waiting.clear()

    async def _record_window(self, result: WindowResult) -> None:
        async with self._database.begin() as session:
            await add_window(
                session,
                cycle_id=self._record.id,
                peer=self._peer.name,
                query=self._query.keys(),
                start_date=result.window.start,
                end_date=result.window.end,
                outcome=result.outcome,
                matches=result.found,
                message=result.message or None,
            )


def _study_date(answer: Dataset) -> date | None:
    return parse_date(text_of(answer, "StudyDate"))


class _Line:
    """One association to a peer, made when it is needed and again when it was lost."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stack = AsyncExitStack()
        self._association: Association | None = None

    async def get(self) -> Association:
        if self._association is None:
            self._association = await self._stack.enter_async_context(
                associate(self._peer, Service.FIND)
            )
        return self._association

    async def abort(self) -> None:
        await self._end(AssociationLost("given up"))

    async def close(self) -> None:
        await self._end(None)

    async def _end(self, error: Exception | None) -> None:
        stack, self._stack, self._association = self._stack, AsyncExitStack(), None
        await stack.__aexit__(type(error) if error else None, error, None)
