"""One find, of whichever kind: its questions are put over an association that is made again.

Who asks plans; what is here puts one question, remembers what it came to, and ends the cycle.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from node.dicom.query import StudyQuery
from node.errors import NodeError, PeerRefused, PeerUnreachable
from node.ops.cycles import RunningCycle, cycle
from node.ops.finding.asking import Brought, Questioned, Questioner
from node.ops.finding.planning.tree import Heard, WindowOutcome
from node.ops.finding.report import FindReport, WindowResult
from schema.coverage.drift import Drift

WindowWatcher = Callable[[WindowResult], None]
"""Told what each question came to."""

_PAUSE = 1.0
"""Seconds before a peer that has answered, and is away, is called again; then twice as many."""


class Inquiry:
    """One find at one peer; once the peer cannot be reached any more, it is not asked.

    Parameters
    ----------
    node
        Our AE title, for the record of the cycle.
    watch
        Called with each question as it is done.
    keeps
        Whether the report has the questions one by one, of which there may be very many.

    Attributes
    ----------
    gaps, gone, unconfirmed, found, ambiguous
        See `FindReport`.
    late, stopped, contradiction
        See `FindReport`.
    """

    def __init__(
        self, asker: Questioner, node: str, watch: WindowWatcher, *, keeps: bool = True
    ) -> None:
        self.asker = asker
        self.gaps: tuple[WindowResult, ...] | None = None
        self.gone = 0
        self.late: tuple[Drift, ...] = ()
        self.stopped = False
        self.contradiction: tuple[str, str] | None = None
        self.found: int | None = None
        self.ambiguous: dict[str, str] = {}
        self.unconfirmed = 0
        self._node = node
        self._watch = watch
        self._windows: list[WindowResult] = []
        self._keeps = keeps
        self._sums: Counter[str] = Counter()
        self._asked = self._answered = False
        self._lost: NodeError | None = None

    @property
    def lost(self) -> NodeError | None:
        """Why the peer cannot be reached any more; None while it can."""
        return self._lost

    @property
    def questions(self) -> int:
        """How many were put so far."""
        return self._sums["windows"]

    @property
    def new(self) -> int:
        """How many studies were not known before."""
        return self._sums["new"]

    def report(self) -> FindReport:
        """Return what it has come to so far."""
        return FindReport(
            peer=self.asker.peer.name,
            windows=tuple(self._windows),
            gaps=self.gaps,
            gone=self.gone,
            late=self.late,
            stopped=self.stopped,
            contradiction=self.contradiction,
            found=self.found,
            ambiguous=dict(self.ambiguous),
            unconfirmed=self.unconfirmed,
        )

    async def run(self, work: Callable[[RunningCycle], Awaitable[None]]) -> FindReport:
        """Do the work as a cycle, which is a row whatever happens."""
        peer = self.asker.peer.name
        async with cycle(self.asker.database, "find", peer=peer, node=self._node) as record:
            try:
                await work(record)
            except BaseException:
                await self.asker.line.abort()  # a release would wait for an answer that we gave up
                raise
            finally:
                report = self.report()
                record.counts = {**report.counts(), **self._sums}
                record.partial = bool(report.failures)
                record.stopped = report.stopped
            await self.asker.line.close()
        return report

    async def ask(self, query: StudyQuery, *, within: StudyQuery | None = None) -> Questioned:
        """Put one question; see `Questioner.ask`. What cannot be put has failed."""
        for pause in (_PAUSE, 2 * _PAUSE, None):
            if self._lost is not None:
                break
            try:
                return await self.asker.ask(query, within=within)
            except (PeerUnreachable, PeerRefused) as error:
                away = isinstance(error, PeerUnreachable) or error.transient
                if pause is None or not away or not self._asked:
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

    def note(self, asked: Questioned) -> None:
        """Remember what a question came to, and tell it."""
        self.keep(asked.result)
        self.tell(asked.result)

    def keep(self, result: WindowResult) -> None:
        """Remember what a question came to."""
        self._asked = True
        self._answered = self._answered or result.outcome != WindowOutcome.FAILED
        if self._keeps:
            self._windows.append(result)
        self._sums.update(
            {"windows": 1, "new": result.new, "changed": result.changed, "outside": result.outside}
        )

    def tell(self, result: WindowResult) -> None:
        """Tell who watches what a question, or a study that was asked for, came to."""
        self._watch(result)

    def raise_if_vain(self) -> None:
        """Raise why there was no association, where no question was answered at all."""
        if self._lost is not None and not self._answered:
            raise self._lost
