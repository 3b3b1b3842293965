"""Repository Query (PS3.4 C.6.4): a peer that announces where it stops, and goes on from there.

Each answer has a Record Key, and they come in the order of these keys. Where the peer stops at its
limit, it says so (0xB001), and a question that names the last key brings what comes after it. So
a window is answered whole whatever its size, and there is no cap to find out.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from pydicom.dataset import Dataset

from node.dicom.profile import PeerProfile
from node.dicom.query import text_of
from node.dicom.status import Status
from node.errors import PeerFailure, PeerRefused, PeerUnreachable
from node.net.dimse.contexts import Service
from node.net.messages import Peer
from node.net.qido.place import WebPeer
from node.net.scu.requestor import ServiceUser
from node.ops.line import Line

log = logging.getLogger(__name__)


def without_a_cap(profile: PeerProfile) -> PeerProfile:
    """Return a profile by which to plan Repository Queries: of any number of studies, in windows.

    A window is what is lost when a find is killed: it is not as wide as it could be.
    """
    return replace(profile, cap=0, cap_kind=None, widest=profile.widest or None)


class RepositoryLine:
    """An association for Repository Queries, made when it is needed and again when it was lost.

    Parameters
    ----------
    cap
        How many studies the peer answers to a plain C-FIND at most; 0 or None: not known.
    """

    def __init__(self, peer: Peer, *, cap: int | None) -> None:
        self._line = Line(peer, Service.REPOSITORY)
        self._cap = cap

    operation = Service.REPOSITORY.operation

    @property
    def is_open(self) -> bool:
        """Whether there is an association, as far as we know."""
        return self._line.is_open

    async def get(self) -> "PagedQueries":
        """Return what asks over the association; errors as `Line.get` has them."""
        return PagedQueries(await self._line.get(), cap=self._cap)

    async def abort(self) -> None:
        """Abort the association, where there is one."""
        await self._line.abort()

    async def close(self) -> None:
        """Release the association, where there is one."""
        await self._line.close()


async def repository_line(peer: Peer | WebPeer, profile: PeerProfile) -> RepositoryLine | None:
    """Return a line for Repository Queries where the profile names them, and the peer takes it."""
    if isinstance(peer, WebPeer) or not profile.repository:
        return None
    line = RepositoryLine(peer, cap=profile.cap)
    try:
        await line.get()
    except PeerUnreachable:
        pass  # nor can it be reached for anything else: that is told when it is asked
    except PeerRefused as error:
        if not error.transient:
            log.warning("%s is asked by C-FIND: %s", peer.name, error)
            return None
    return line


class PagedQueries:
    """Puts Repository Queries, each as often as it takes to have the whole answer."""

    def __init__(self, association: ServiceUser, *, cap: int | None) -> None:
        self._association = association
        self._cap = cap

    async def matches(self, identifier: Dataset) -> AsyncGenerator[Dataset, None]:
        """Yield each identifier that matches, of all pages.

        An answer that ends without an announcement just where plain ones are cut off is not
        believed: it is gone on from as well.

        Raises
        ------
        PeerFailure
            As a C-FIND; `RESPONSE_LIMIT` where the peer has more, and does not go on.
        """
        key, known = b"", set[str]()
        while True:
            asked = _asking_for_keys(identifier, after=key)
            limit: PeerFailure | None = None
            answers, brought, last = 0, 0, b""
            try:
                found = self._association.find(asked, service=Service.REPOSITORY)
                async with aclosing(found) as page:
                    async for answer in page:
                        answers += 1
                        last = answer.get("RecordKey") or b""
                        uid = text_of(answer, "StudyInstanceUID")
                        brought += uid not in known
                        known.add(uid)
                        yield answer
            except PeerFailure as error:
                if error.status == Status.INVALID_PRIOR_RECORD_KEY and known:
                    raise PeerFailure(
                        str(error), status=Status.RESPONSE_LIMIT, comment=error.comment
                    ) from error
                if error.status != Status.RESPONSE_LIMIT:
                    raise
                limit = error
            goes_on = brought and last and last != key
            if limit is not None and not goes_on:
                raise limit
            if limit is None and not (goes_on and self._cap and answers == self._cap):
                return
            key = last


def _asking_for_keys(identifier: Dataset, *, after: bytes) -> Dataset:
    """Return a question that asks for the record keys as well, from one of them on."""
    asked = Dataset()
    asked.update(identifier)
    asked.RecordKey = b""
    if after:
        asked.PriorRecordKey = after
    return asked
