"""Asking a peer for the series and the images of a study (PS3.4 C.4.1.1.3.2, Study Root).

Each question waits as long as the one before took: the peer has half of its time for others.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset

from node.dicom.query import image_identifier, series_identifier, text_of
from node.errors import AssociationLost, PeerFailure, PeerStalled
from node.net.dimse.contexts import Service
from node.net.messages import Peer
from node.ops.line import Line
from node.ops.stalls import TimeLimits, limited
from schema.finding.counting import StudyCount, counted_up

log = logging.getLogger(__name__)

_LONGEST_REST = 5.0
"""Seconds between two questions, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The images of a study that a peer lists.

    Attributes
    ----------
    images
        SOP Instance UIDs.
    count
        How many there are, and why that are not all.
    vouched
        Whether each series has as many as its own Number of Series Related Instances, and the
        study as many series as its own number says: a peer that cuts its answers off says Success
        all the same.
    """

    images: frozenset[str]
    count: StudyCount
    vouched: bool


class ImageInquiry:
    """Asks a peer how many images studies have, or which, over one association.

    A context manager: at its end there is no association any more.

    Parameters
    ----------
    limits
        How long the questions for one study may take without a series or an image that is new,
        and in all.
    """

    def __init__(self, peer: Peer, limits: TimeLimits) -> None:
        self.peer = peer
        self.line = Line(peer, Service.FIND)
        self._limits = limits
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
            counts = await self._series(study_uid, progressed)
            listed = {
                uid: len(await self._images(study_uid, uid, progressed))
                for uid, own in sorted(counts.items())
                if own is None
            }
            count = counted_up(counts, listed, told=series)
        return count  # noqa: RET504 - the block may end without it

    async def list(self, study_uid: str, *, series: int | None) -> Listing | None:
        """List a study's images; parameters and errors as `count`.

        Returns
        -------
        Listing or None
            None when the peer does not answer such questions, or names no image.
        """
        listing: Listing | None = None
        async with self._asking() as progressed:
            counts = await self._series(study_uid, progressed)
            images: set[str] = set()
            listed: dict[str, int] = {}
            for uid in sorted(counts):
                of_series = await self._images(study_uid, uid, progressed)
                listed[uid] = len(of_series)
                images |= of_series
            count = counted_up(counts, listed, told=series)
            vouched = not count.short and series is not None and None not in counts.values()
            if images:
                listing = Listing(images=frozenset(images), count=count, vouched=vouched)
        return listing

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Callable[[], None]]:
        """End a block quietly that the peer does not answer."""
        try:
            async with limited(f"the C-FIND at {self.peer.name}", self._limits) as progressed:
                yield progressed
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
    ) -> dict[str, int | None]:
        counts: dict[str, int | None] = {}
        async for answer in self._ask(study_uid, series_identifier(study_uid)):
            uid = text_of(answer, "SeriesInstanceUID")
            if uid and uid not in counts:  # a peer can say the same for ever
                progressed()
                said = text_of(answer, "NumberOfSeriesRelatedInstances")
                counts[uid] = int(said) if said.isdecimal() else None
        return counts

    async def _images(
        self, study_uid: str, series_uid: str, progressed: Callable[[], None]
    ) -> set[str]:
        images: set[str] = set()
        async for answer in self._ask(study_uid, image_identifier(study_uid, series_uid)):
            if (uid := text_of(answer, "SOPInstanceUID")) and uid not in images:
                images.add(uid)
                progressed()
        return images

    async def _ask(self, study_uid: str, identifier: Dataset) -> AsyncIterator[Dataset]:
        """Put a question; a peer that ignores a key answers with other studies too."""
        await asyncio.sleep(min(self._took, _LONGEST_REST))
        association = await self.line.get()
        began = time.monotonic()
        async for answer in association.find(identifier):
            if (text_of(answer, "StudyInstanceUID") or study_uid) == study_uid:
                yield answer
        self._took = time.monotonic() - began
