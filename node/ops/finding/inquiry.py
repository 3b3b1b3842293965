"""One find, of whichever kind: its questions are put over an association that is made again.

Who asks plans; what is here puts one question, remembers what it came to, and ends the cycle.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from node.dicom.query import StudyQuery
from node.errors import NodeError, PeerRefused, PeerUnreachable
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.cycles import cycle
from node.ops.cycling.running import RunningCycle
from node.ops.finding.answers.brought import Answered, Brought, Questioned
from node.ops.finding.asking import Questioner
from node.ops.finding.planning.rules.refusals import TRIAL, Refusals
from node.ops.finding.planning.tree import WindowOutcome
from node.ops.finding.report import FindReport, FindResumed, WindowResult
from schema.coverage.asked import AskedDates
from schema.coverage.drift import Drift
from schema.finding.asking import add_window
from schema.finding.seen import FoundInAll
from schema.tables.columns import utcnow

WindowWatcher = Callable[[WindowResult | FindResumed | FindReport], None]
"""Told what each question came to, that the find goes on with another one, and what it had come to
when it was broken off."""

_PAUSE = 1.0
"""Seconds before a peer that has answered, and is away, is called again; then twice as many."""


class Inquiry:
    """One find at one peer; once it cannot be reached, or refuses everything, it is not asked.

    Parameters
    ----------
    node
        Our AE title, for the record of the cycle.
    watch
        Called with each question as it is done.
    keeps
        Whether the report has the questions one by one, of which there may be very many.
    dates
        What a find of dates is to cover; None: it asks for single studies.

    Attributes
    ----------
    gaps, gone, unconfirmed, found, ambiguous, absent
        See `FindReport`.
    late, stopped, contradiction, recalled, in_all
        See `FindReport`.
    """

    def __init__(
        self,
        asker: Questioner,
        node: str,
        watch: WindowWatcher,
        *,
        keeps: bool = True,
        dates: Sequence[AskedDates] | None = None,
    ) -> None:
        self.asker = asker
        self.gaps: tuple[WindowResult, ...] | None = None
        self.gone = 0
        self.late: tuple[Drift, ...] = ()
        self.stopped = False
        self.contradiction: tuple[str, str] | None = None
        self.found: int | None = None
        self.ambiguous: dict[str, str] = {}
        self.absent: tuple[StudyQuery, ...] = ()
        self.unconfirmed = 0
        self.recalled = 0
        self.in_all: FoundInAll | None = None
        self._node = node
        self.dates = dates
        self._watch = watch
        self._windows: list[WindowResult] = []
        self._keeps = keeps
        self._sums: Counter[str] = Counter()
        self._asked = self._answered = False
        self._refusals = Refusals()
        self._cycle_id: int | None = None
        self._lost: NodeError | None = None

    @property
    def lost(self) -> NodeError | None:
        """Why no more is asked: the peer cannot be reached, or refuses all; None while it is."""
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
            recalled=self.recalled,
            in_all=self.in_all,
            found=self.found,
            ambiguous=dict(self.ambiguous),
            absent=self.absent,
            unconfirmed=self.unconfirmed,
        )

    async def run(self, work: Callable[[RunningCycle], Awaitable[None]]) -> FindReport:
        """Do the work as a cycle, which is a row whatever happens."""
        peer = self.asker.peer.name
        async with cycle(
            self.asker.database, "find", peer=peer, node=self._node, asked=self.dates
        ) as record:
            self._cycle_id = record.id
            try:
                await work(record)
            except BaseException as error:
                await self.asker.line.abort()  # a release would wait for an answer that we gave up
                if isinstance(error, asyncio.CancelledError):
                    self._watch(replace(self.report(), interrupted=True))
                raise
            finally:
                self.asker.tell_undecodable()
                report = self.report()
                record.counts = {**report.counts(), **self._sums}
                record.partial = record.counts["failed_windows"] > 0 or not report.is_whole
                record.stopped = report.stopped
            await self.asker.line.close()
        return report

    async def ask(self, query: StudyQuery, *, within: StudyQuery | None = None) -> Questioned:
        """Put one question; see `Questioner.ask`. What cannot be put has failed.

        A peer that has refused it again and again, or ended the association each time, and has
        answered nothing in this find, is asked for next to nothing: one that does so with that as
        well is not asked any more.
        """
        return await (await self.put(query, within=within)).recorded()

    async def put(self, query: StudyQuery, *, within: StudyQuery | None = None) -> Answered:
        """Do as `ask` does, and do not wait until the last answers are recorded."""
        asked = await self._put(query, within)
        while self._refusals.are_telling and self._lost is None:
            await self._try()
        return asked

    async def _try(self) -> None:
        """Ask for next to nothing, to see whether there is anything that the peer answers."""
        if self._refusals.trials:
            await asyncio.sleep(_PAUSE * 2 ** (self._refusals.trials - 1))
        asked = await (await self._put(TRIAL, None)).recorded()
        self.note(asked)
        async with self.asker.database.begin() as session:
            await add_window(
                session,
                cycle_id=self._cycle_id,
                peer=self.asker.peer.name,
                query={**TRIAL.keys(), "StudyDate": f"{TRIAL.window.start:%Y%m%d}"},
                start_date=None,
                end_date=None,
                outcome=asked.result.outcome,
                matches=asked.tally.matches,
                message=asked.result.message or None,
                comment=asked.tally.comment or None,
                asked_on=asked.answer.asked_on,
                facts={"status": asked.tally.status, "seconds": asked.seconds},
            )
        if self._refusals.are_all:
            self._lost = _refuses_all(self.asker.peer, asked.result.message)

    async def _put(self, query: StudyQuery, within: StudyQuery | None) -> Answered:
        for pause in (_PAUSE, 2 * _PAUSE, None):
            if self._lost is not None:
                break
            try:
                asked = await self.asker.ask(query, within=within)
            except (PeerUnreachable, PeerRefused) as error:
                away = isinstance(error, PeerUnreachable) or error.transient
                if pause is None or not away or not self._asked:
                    self._lost = error
                else:  # it has answered before
                    await asyncio.sleep(pause)
            else:
                self._asked = True
                outcome, tally = asked.heard.outcome, asked.tally
                self._refusals.hear(
                    query,
                    outcome,
                    status=tally.status,
                    comment=tally.comment,
                    ended=asked.ended and not tally.answers and isinstance(self.asker.peer, Peer),
                )
                return asked
        tally = Brought()
        return Answered(
            query=query,
            outcome=WindowOutcome.FAILED,
            asked_on=utcnow(),
            message=str(self._lost),
            lost=True,
            tally=tally,
            recorder=self.asker.recorder(tally),
        )

    def note(self, asked: Questioned) -> None:
        """Remember what a question came to, and tell it."""
        self.keep(asked.result)
        self.tell(asked.result)

    def keep(self, result: WindowResult) -> None:
        """Remember what a question came to."""
        self._answered = self._answered or result.outcome != WindowOutcome.FAILED
        if self._keeps:
            self._windows.append(result)
        self._sums.update(
            {
                "windows": int(result.put),
                "new": result.new,
                "changed": result.changed,
                "outside": result.outside,
            }
        )

    def leave_open(self, count: int) -> None:
        """Count what is not known in the end, where there is too much of it for `gaps`."""
        self._sums["failed_windows"] += count

    def tell(self, result: WindowResult | FindResumed) -> None:
        """Tell who watches what a question came to, or that the find goes on with another one."""
        self._watch(result)

    def raise_if_vain(self) -> None:
        """Raise why there is nothing to tell: nobody was there, or refused each question."""
        if self._lost is not None and (self._refusals.are_all or not self._answered):
            raise self._lost


def _refuses_all(peer: Peer | WebPeer, said: str) -> PeerRefused:
    """Return what says that a peer answers nothing at all, and what may be wrong."""
    if isinstance(peer, WebPeer):
        check = (
            f"see whether peers.{peer.name}.url, {peer.url}, is the base URL of its DICOMweb "
            "service, such as https://pacs.example.org/dicom-web"
        )
    else:
        check = (
            f"see whether {peer.aetitle} at {peer.host}:{peer.port} is the one that answers "
            f"queries, and lets {peer.calling_aetitle} query it"
        )
    return PeerRefused(
        f"{said}; so it did with every question, also with one for a single study of a single day, "
        f"and no more are asked: {check}"
    )
