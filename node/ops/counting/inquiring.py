"""Asking a peer for the series and the images of a study (PS3.4 C.4.1.1.3.2, PS3.18 10.6.1).

Where many studies are counted, each question waits as long as the one before took: the peer has
half of its time for others.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset

from node.dicom.query import (
    StudyQuery,
    image_identifier,
    series_identifier,
    study_identifier,
    text_of,
)
from node.dicom.status import Status
from node.errors import AssociationLost, PeerFailure, PeerStalled
from node.net.dimse.contexts import VERIFICATION
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.net.scu.requestor import ServiceUser
from node.ops.counting.reading import Texts, texts_of
from node.ops.guarding.slots import others_wait
from node.ops.line import Answering, query_line
from node.ops.politeness.clock import ResponseTimer
from node.ops.politeness.throttle import TimedQuestion
from node.ops.stalls import TimeLimits, limited
from schema.finding.counting import StudyCount, counted_up
from schema.moving.listing import ListedSeries, Listing, listing_of

log = logging.getLogger(__name__)

_LONGEST_REST = 5.0
"""Seconds between two questions, at most."""


_TO_ECHO = 2.0
"""Seconds that a peer has for a C-ECHO; some accept them, and never answer."""

_TO_ANSWER = 30.0
"""Seconds that it has for a question that is put only to be timed."""


class ImageInquiry:
    """Asks a peer how many images studies have, or which: by C-FIND or QIDO-RS, over one line.

    A context manager: at its end there is no connection any more.

    Parameters
    ----------
    limits
        How long the questions for one study may take without a series or an image that is new,
        and in all.
    rests
        Whether each question waits as long as the one before took.
    timer
        Told how long answers take. Where there is one, C-ECHOs can be put as well.

    Attributes
    ----------
    unanswered
        How many questions for a study the peer has not answered.
    """

    def __init__(
        self,
        peer: Peer | WebPeer,
        limits: TimeLimits,
        *,
        rests: bool = True,
        timer: ResponseTimer | None = None,
    ) -> None:
        self.peer = peer
        self.line = query_line(peer, echo=timer is not None)
        self._limits = limits
        self._rests = rests
        self.unanswered = 0
        self._echoes = True
        self._timer = timer or ResponseTimer.untold()
        self._took = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await (self.line.close() if error is None else self.line.abort())

    async def count(self, study_uid: str, *, series: int | None) -> StudyCount | None:
        """Count a study's images: by its series, and one by one where a series has no count.

        Parameters
        ----------
        series
            The study's own number of series; None when the peer gives none.

        Returns
        -------
        StudyCount or None
            None when the peer does not answer such questions.

        Raises
        ------
        PeerUnreachable, PeerRefused
            No association.
        """
        count: StudyCount | None = None
        async with self._asking() as progressed:
            found = await self._series(study_uid, progressed)
            counts = {uid: one.count for uid, one in found.items()}
            listed = {
                uid: len(await self._images(study_uid, uid, progressed))
                for uid, own in sorted(counts.items())
                if own is None
            }
            count = counted_up(counts, listed, told=series)
        return count  # noqa: RET504 - the block may end without it

    async def list(
        self, study_uid: str, *, images: int | None, series: int | None
    ) -> Listing | None:
        """List a study's images; errors as `count`.

        Parameters
        ----------
        images, series
            The study's own numbers; None where the peer gives none.

        Returns
        -------
        Listing or None
            None when the peer does not answer such questions, or names no image.
        """
        listing: Listing | None = None
        async with self._asking() as progressed:
            found = await self._series(study_uid, progressed)
            for uid, one in sorted(found.items()):
                listed = await self._images(study_uid, uid, progressed)
                found[uid] = replace(one, images=listed)
            if any(one.images for one in found.values()):
                listing = listing_of(found, told_images=images, told_series=series)
        return listing

    async def study(self, study_uid: str) -> Dataset | None:
        """Return what the peer says of a study by now; None when it does not answer it.

        Raises
        ------
        PeerUnreachable, PeerRefused
            No association.
        """
        answer: Dataset | None = None
        async with self._asking() as progressed:
            query = StudyQuery(study_uids=(study_uid,))
            asked = await self.line.get()
            async for one in asked.find(study_identifier(query, query.window)):
                if (text_of(one, "StudyInstanceUID") or study_uid) == study_uid:
                    answer = one
                    progressed()
        return answer

    async def probe(self, study_uid: str) -> bool:
        """Put a C-ECHO, where the peer takes one, and a question for a study, to be timed.

        What is answered is of no interest; of more than a study's own answer nothing is read.

        Returns
        -------
        bool
            Whether the question was answered.

        Raises
        ------
        PeerUnreachable, PeerRefused
            No association.
        """
        answered = False
        async with self._asking():
            line = await self.line.get()
            try:
                if self._echoes and isinstance(line, ServiceUser) and _takes_echoes(line):
                    await self._echo(line)
                answered = await self._answers(line, study_uid)
            except TimeoutError:
                log.info("%s does not answer in time", self.peer.name)
                await self.line.abort()
        return answered

    async def _echo(self, line: ServiceUser) -> None:
        self._echoes = False  # who does not answer one is sent no other
        async with self._timer.timing(TimedQuestion.ECHO):
            async with asyncio.timeout(_TO_ECHO):
                await line.echo()
        self._echoes = True

    async def _answers(self, line: Answering, study_uid: str) -> bool:
        """Tell whether a study is answered, and nothing else is."""
        query, seen = StudyQuery(study_uids=(study_uid,)), 0
        async with (
            self._timer.timing(TimedQuestion.STUDY) as came,
            asyncio.timeout(_TO_ANSWER),
            aclosing(line.find(study_identifier(query, query.window))) as answers,
        ):
            async for _ in answers:
                came()
                seen += 1
                if seen > 1:
                    break
        if seen > 1:  # it does not match UIDs, and has all its studies to tell
            await self.line.abort()
        return seen < 2

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Callable[[], None]]:
        """End a block quietly that the peer does not answer."""
        try:
            what = f"the {self.line.operation} at {self.peer.name}"
            if await others_wait(self.peer.name):
                await self.line.close()
            await self.line.get()  # who waits for his turn there does not wait for the peer
            async with limited(what, self._limits) as progressed:
                self.unanswered += 1
                yield progressed
                self.unanswered -= 1
        except (AssociationLost, PeerStalled) as error:
            await self.line.abort()
            log.info("%s cannot be asked for single images: %s", self.peer.name, error)
        except PeerFailure as error:
            log.info("%s cannot be asked for single images: %s", self.peer.name, error)
        except (ValueError, TypeError, NotImplementedError, ArithmeticError, LookupError) as error:
            # answers are decoded as they are read
            await self.line.abort()
            log.warning("%s lists images undecodably: %s", self.peer.name, type(error).__name__)

    async def _series(
        self, study_uid: str, progressed: Callable[[], None]
    ) -> dict[str, ListedSeries]:
        """Return the series of a study, without their images."""
        found: dict[str, ListedSeries] = {}
        async for says in self._ask(study_uid, series_identifier(study_uid), TimedQuestion.SERIES):
            uid = says("SeriesInstanceUID")
            if uid and uid not in found:  # a peer can say the same for ever
                progressed()
                said = says("NumberOfSeriesRelatedInstances")
                found[uid] = ListedSeries(
                    images={},
                    modality=says("Modality"),
                    description=says("SeriesDescription"),
                    count=int(said) if said.isdecimal() else None,
                )
        return found

    async def _images(
        self, study_uid: str, series_uid: str, progressed: Callable[[], None]
    ) -> dict[str, str]:
        """Return the SOP Class UIDs of the images of a series, by SOP Instance UID."""
        images: dict[str, str] = {}
        async for says in self._ask(study_uid, image_identifier(study_uid, series_uid)):
            if (uid := says("SOPInstanceUID")) and uid not in images:
                images[uid] = says("SOPClassUID")
                progressed()
        return images

    async def _ask(
        self, study_uid: str, identifier: Dataset, question: TimedQuestion | None = None
    ) -> AsyncIterator[Texts]:
        """Put a question; a peer that ignores a key answers with other studies too.

        Raises
        ------
        PeerFailure
            Also when a match cannot be decoded: the answer is then incomplete.
        """
        if self._rests:
            await asyncio.sleep(min(self._took, _LONGEST_REST))
        asked = await self.line.get()
        began = time.monotonic()
        undecodable = 0
        async with (
            self._timer.timing(question) as came,
            aclosing(asked.matches(identifier)) as matches,
        ):
            async for match in matches:
                came()
                says = await texts_of(match)
                if says is None:
                    undecodable += 1
                elif (says("StudyInstanceUID") or study_uid) == study_uid:
                    yield says
                await asyncio.sleep(0)  # matches that have come already are not waited for
        if undecodable:
            raise PeerFailure(
                f"{self.peer.name}: {undecodable} matches of the {self.line.operation} could not "
                "be decoded",
                status=Status.UNABLE_TO_PROCESS,
            )
        self._took = time.monotonic() - began


def _takes_echoes(association: ServiceUser) -> bool:
    return any(abstract == VERIFICATION for abstract, _ in association.accepted_storage)
