"""Counting the images of all the studies of a peer of which it does not say how many they have."""

from dataclasses import dataclass
from datetime import timedelta

from node.errors import PeerRefused, PeerUnreachable
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.ops.counting.inquiring import ImageInquiry
from node.ops.counting.keeping import count_study
from node.ops.cycles import cycle
from node.ops.cycling.running import RunningCycle
from node.ops.stalls import TimeLimits
from schema import Database, utcnow
from schema.hierarchy.counted import get_uncounted

_PAGE = 200
"""Studies that are looked up at once."""

_IN_VAIN = 3
"""Studies one after the other of which nothing is answered, after which no more are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountReport:
    """What counting at one peer came to.

    Attributes
    ----------
    counted
        Studies whose number of images is known now.
    short
        Those of which not all series, or not all images, were answered.
    unanswered
        Those of which nothing was.
    message
        Why no more were asked for; empty when all were.
    """

    counted: int = 0
    short: int = 0
    unanswered: int = 0
    message: str = ""

    def counts(self) -> dict[str, int]:
        """Return the report's numbers, by name."""
        return {"counted": self.counted, "short": self.short, "unanswered": self.unanswered}


async def count_uncounted(
    database: Database, peer: Peer | WebPeer, limits: TimeLimits, *, recount: float, node: str
) -> CountReport:
    """Count the images of the studies of a peer that have no count, as a cycle; study by study.

    What is counted is kept at once: a cycle that is killed is gone on with by the next one.

    Parameters
    ----------
    limits
        Of the questions for one study.
    recount
        Seconds that a count is good.
    node
        Our AE title, for the record of the cycle.
    """
    async with database.session() as session:
        since = utcnow() - timedelta(seconds=recount)
        if not await get_uncounted(session, peer=peer.name, since=since, limit=1):
            return CountReport()
    async with cycle(database, "count", peer=peer.name, node=node) as record:
        counting = _Counting(database, ImageInquiry(peer, limits), recount)
        try:
            async with counting.inquiry:
                await counting.run(record)
        except (PeerUnreachable, PeerRefused) as error:
            counting.message = str(error)
        finally:
            report = counting.report()
            record.counts = report.counts()
            record.partial = bool(report.message or report.short or report.unanswered)
    return report


class _Counting:
    """Counts study after study, in the order in which they were found."""

    def __init__(self, database: Database, inquiry: ImageInquiry, recount: float) -> None:
        self.inquiry = inquiry
        self.message = ""
        self._database = database
        self._recount = timedelta(seconds=recount)
        self._counted = self._short = self._unanswered = 0

    def report(self) -> CountReport:
        """Return what it has come to so far."""
        return CountReport(
            counted=self._counted,
            short=self._short,
            unanswered=self._unanswered,
            message=self.message,
        )

    async def run(self, record: RunningCycle) -> None:
        """Ask for each study once; raises what `count_study` does."""
        since = utcnow() - self._recount
        after = vain = 0
        while vain < _IN_VAIN:
            async with self._database.session() as session:
                studies = await get_uncounted(
                    session, peer=self.inquiry.peer.name, since=since, after=after, limit=_PAGE
                )
            if not studies:
                return
            for after, uid in studies:  # noqa: B007 - where the next page begins
                await record.may_go_on(self.inquiry.line.close)
                count = await count_study(self._database, self.inquiry, uid)
                self._unanswered += count is None
                self._short += count is not None and bool(count.short)
                self._counted += count is not None and not count.short
                vain = vain + 1 if count is None else 0
                if vain == _IN_VAIN:
                    break
        self.message = f"{self.inquiry.peer.name} does not answer questions about series"
