"""Retrievals from a PACS that misbehaves, all in this process: who asks, and who receives."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from node.errors import AssociationLost
from node.net.dimse.contexts import Service
from node.net.dimse.sinks import whole
from node.net.messages import MoveProgress, Services, StoreHandler, StoreRequest
from node.net.scp.acceptor import Acceptor
from node.net.scu.requestor import associate
from node.net.scu.service_user import ServiceUser
from node.simulator.generated.images import TRANSFER_SYNTAX
from node.simulator.generated.studies import SOP_CLASSES
from node.simulator.holdings import Holdings
from tests.support.acceptors import acceptor
from tests.support.misbehaving import MisbehavingPacs, misbehaving_pacs

FEW = {
    "studies": 60,
    "start_date": "2024-01-01",
    "end_date": "2024-01-05",
    "image_bytes": [8, 32],
}
"""Some days of studies with very small images."""

MOVED, GOT = Service.MOVE, Service.GET

CONTEXTS = tuple((sop_class, TRANSFER_SYNTAX) for sop_class in sorted(SOP_CLASSES))
"""What the images of made-up studies need."""


class Receiver:
    """The destination: keeps who stored what, in order.

    Attributes
    ----------
    stored
        Of each object the calling AE title, the SOP Instance UID and the dataset.
    most
        How many associations there were at once.
    refused
        SOP Instance UIDs that are answered with a failure.
    """

    def __init__(self) -> None:
        self.stored: list[tuple[str, str, bytes]] = []
        self.most = 0
        self.refused: set[str] = set()
        self._open: Counter[int] = Counter()
        self.acceptor: Acceptor = acceptor(Services(store=self.handler), aetitle="NODE")

    @property
    def handler(self) -> StoreHandler:
        """What takes an object."""
        return whole(self._store)

    @property
    def uids(self) -> list[str]:
        """The SOP Instance UIDs, as they came."""
        return [uid for _, uid, _ in self.stored]

    async def _store(self, request: StoreRequest, dataset: bytes) -> int:
        self.most = max(self.most, self.acceptor.open_associations)
        if request.sop_instance_uid in self.refused:
            return 0xA700
        self.stored.append((request.caller.aetitle, request.sop_instance_uid, dataset))
        return 0


@dataclass(kw_only=True)
class Retrieved:
    """What a retrieval was answered with; `status` is None where there was no end."""

    responses: list[MoveProgress] = field(default_factory=list)
    message: str = ""

    @property
    def last(self) -> MoveProgress:
        """The last response, whatever it is."""
        return self.responses[-1]

    @property
    def status(self) -> int | None:
        """The last status; None where there was no last response."""
        return None if not self.responses or self.last.pending else self.last.status

    @property
    def pending(self) -> int:
        """How many Pending responses there were."""
        return sum(one.pending for one in self.responses)


def identifier(study: str | Sequence[str], level: str = "STUDY", **keys: Any) -> Dataset:
    """Return what a retrieval asks for."""
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    asked.StudyInstanceUID = study
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


class RetrievingPacs:
    """The PACS, and where its images go; see `retrieving_pacs`."""

    def __init__(self, pacs: MisbehavingPacs, receiver: Receiver) -> None:
        self.pacs = pacs
        self.receiver = receiver

    @property
    def done(self) -> Any:
        """What has happened to retrievals so far."""
        return self.pacs.counters.retrieval

    def study(self, least: int = 4, most: int = 9, skip: int = 0) -> str:
        """Return a study with so many images: the first one, or one of the next."""
        found = [
            uid
            for uid, study in self.pacs.truth().items()
            if least <= int(study["NumberOfStudyRelatedInstances"][0]) <= most
        ]
        return found[skip]

    def images(self, study: str) -> list[str]:
        """Return the SOP Instance UIDs that it has of a study."""
        return [image.sop_instance_uid for image in self.pacs.images(study)]

    @asynccontextmanager
    async def associated(self, service: Service, **peer: Any) -> AsyncIterator[ServiceUser]:
        """Associate for retrievals."""
        receive = CONTEXTS if service is GOT else ()
        async with associate(
            self.pacs.peer(**peer), service, Service.FIND, receive=receive
        ) as association:
            yield association

    async def ask(
        self,
        study: str | Sequence[str],
        level: str = "STUDY",
        *,
        service: Service = MOVED,
        **keys: Any,
    ) -> Retrieved:
        """Retrieve over an association of its own."""
        async with self.associated(service) as association:
            return await self.retrieve(association, study, level, service=service, **keys)

    async def retrieve(
        self,
        association: ServiceUser,
        study: str | Sequence[str],
        level: str = "STUDY",
        *,
        service: Service = MOVED,
        told: Retrieved | None = None,
        destination: str = "NODE",
        **keys: Any,
    ) -> Retrieved:
        """Retrieve over an association; what came before it was lost is told as well."""
        told = told or Retrieved()
        asked = identifier(study, level, **keys)
        responses = (
            association.move(asked, destination)
            if service is MOVED
            else association.get(asked, self.receiver.handler)
        )
        try:
            async for response in responses:
                told.responses.append(response)
        except AssociationLost as lost:
            told.message = str(lost)
        return told


@asynccontextmanager
async def retrieving_pacs(
    holdings: Holdings | None = None, **settings: Any
) -> AsyncIterator[RetrievingPacs]:
    """Serve an archive with the behaviour of these settings, and its destination `NODE`."""
    receiver = Receiver()
    async with receiver.acceptor:
        destinations = {"NODE": ("127.0.0.1", receiver.acceptor.port)}
        settings = {"archive": FEW} | settings
        async with misbehaving_pacs(holdings, destinations=destinations, **settings) as pacs:
            yield RetrievingPacs(pacs, receiver)


async def beside(work: Any, seconds: float) -> asyncio.Task[Any]:
    """Begin something, and return it when it is not over after so many seconds."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task], timeout=seconds)
    assert not done
    return task
