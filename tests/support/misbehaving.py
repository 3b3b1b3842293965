"""A PACS that misbehaves, in this process: started in some milliseconds, and its truth is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from node.dicom.querying.levels import HeldAttributes, Level
from node.dicom.querying.question import Question
from node.errors import AssociationLost, PeerFailure
from node.net.dimse.contexts import Service
from node.net.messages import Peer, Timeouts
from node.net.scu.requestor import associate
from node.net.scu.service_user import ServiceUser
from node.simulator.behaviour import Honest
from node.simulator.generated.archive import GeneratedArchive
from node.simulator.holdings import Holdings
from node.simulator.instances import HeldInstance
from node.simulator.misbehaving.occasions import Counters
from node.simulator.misbehaving.pacs import Misbehaving
from node.simulator.misbehaving.settings import Misbehaviour
from node.simulator.server import Simulator

ARCHIVE = {
    "studies": 300,
    "start_date": "2024-01-01",
    "end_date": "2024-01-31",
    "undated": 5,
    "migrations": [{"date": "1900-01-01", "studies": 20}],
}
"""A month of studies, of which some are undated, and some of a migration."""

STUDY_KEYS = dict.fromkeys(
    (
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "PatientID",
        "PatientName",
        "AccessionNumber",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    "",
)
"""What every question about studies asks to be told."""


@dataclass(kw_only=True)
class Told:
    """What a question was answered with; `status` is 0 for Success, None where there was no end."""

    answers: list[Dataset] = field(default_factory=list)
    status: int | None = 0
    message: str = ""

    @property
    def uids(self) -> list[str]:
        """The Study Instance UIDs, as they came."""
        return [str(answer.get("StudyInstanceUID", "")) for answer in self.answers]


class MisbehavingPacs:
    """The PACS; see `misbehaving_pacs`."""

    def __init__(
        self, behaviour: Misbehaving, simulator: Simulator, destinations: dict[str, tuple[str, int]]
    ) -> None:
        self.destinations = destinations
        self._behaviour = behaviour
        self._simulator = simulator

    @property
    def counters(self) -> Counters:
        """What has been asked and answered so far."""
        return self._behaviour.counters

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._simulator.port

    def truth(self) -> dict[str, HeldAttributes]:
        """Return the studies that it has at this moment, by Study Instance UID."""
        return {study["StudyInstanceUID"][0]: study for study in self._behaviour.truth()}

    def everything(self) -> list[HeldAttributes]:
        """Return the studies that it has or will have, or had."""
        keys = {"StudyInstanceUID": ()}
        question = Question(level=Level.STUDY, keys=keys)
        return list(self._behaviour.archive.matching(question))

    def images(self, study_uid: str) -> Sequence[HeldInstance]:
        """Return every image of a study that it has at this moment."""
        return self._behaviour.images(study_uid)

    def behave(self, **settings: Any) -> None:
        """Have other settings from now on; the archive and the counters stay."""
        self._behaviour.settings = Misbehaviour(**settings)

    def be_honest(self) -> None:
        """Answer as the standard says from now on."""
        self._simulator.behaviour = Honest(
            archive=self._behaviour.archive, aetitle=self._simulator.aetitle
        )

    def peer(self, *, dimse: float = 5.0) -> Peer:
        """Return what a requestor needs to know."""
        return Peer(
            name="pacs",
            aetitle=self._simulator.aetitle,
            host=self._simulator.host,
            port=self._simulator.port,
            calling_aetitle="NODE",
            timeouts=Timeouts(connect=5, acse=5, dimse=dimse, network=60),
        )

    async def ask(self, level: str = "STUDY", **keys: Any) -> Told:
        """Ask over an association of its own; a level's usual keys are asked for as well."""
        async with associate(self.peer(), Service.FIND) as association:
            return await ask(association, level, **keys)


async def ask(association: ServiceUser, level: str = "STUDY", **keys: Any) -> Told:
    """Ask a question over an association; what came before a failure is told as well."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    told = Told()
    with disable_value_validation():  # keys such as "-" are what peers send
        for keyword, value in ((STUDY_KEYS if level == "STUDY" else {}) | keys).items():
            setattr(identifier, keyword, value)
    try:
        async for answer in association.find(identifier):
            told.answers.append(answer)
    except PeerFailure as failure:
        told.status, told.message = failure.status, str(failure)
    except AssociationLost as lost:
        told.status, told.message = None, str(lost)
    return told


@asynccontextmanager
async def misbehaving_pacs(
    holdings: Holdings | None = None,
    *,
    destinations: dict[str, tuple[str, int]] | None = None,
    incoming: Path = Path("unused"),
    **settings: Any,
) -> AsyncIterator[MisbehavingPacs]:
    """Serve an archive with the behaviour of these settings, until the block ends.

    Without `holdings` it is a generated one: that of `archive`, else of `ARCHIVE`.
    """
    behaviour = Misbehaviour(**({"archive": ARCHIVE} | settings))
    if holdings is None and behaviour.archive is not None:
        holdings = GeneratedArchive(behaviour.archive)
    assert holdings is not None
    destinations = {} if destinations is None else destinations
    misbehaving = Misbehaving(
        archive=holdings,
        settings=behaviour,
        aetitle="PACS",
        clock=asyncio.get_running_loop().time,
    )
    simulator = Simulator(
        archive=holdings,
        incoming=incoming,
        destinations=destinations,
        behaviour=misbehaving,
        repository=behaviour.repository,
        most_associations=behaviour.capacity.associations or 64,
        attendance=misbehaving.counters.associations,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(simulator)
        yield MisbehavingPacs(misbehaving, simulator, destinations)
