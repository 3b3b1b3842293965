"""What a simulated PACS answers, apart from how that gets onto the network.

`Honest` answers as the standard says. Other behaviours spoil the answers, as PACSs in the field do:
`Partial` those to retrievals, `node.simulator.misbehaving` both. The server does not know which one
it has.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydicom.dataset import Dataset

from node.dicom.querying.answers import AnswerWriter
from node.dicom.querying.question import read_question, read_retrieval
from node.dicom.status import Status
from node.net.messages import (
    Conduct,
    EndOfAnswers,
    FindRequest,
    GetRequest,
    Instance,
    MoveRequest,
    Peer,
    QueryModel,
)
from node.simulator.archive import SimulatedArchive
from node.simulator.holdings import Holdings
from node.simulator.instances import HeldInstance

Choose = Callable[[Sequence[HeldInstance]], Sequence[HeldInstance]]
"""Leaves some instances out."""


class House(Protocol):
    """The PACS, as a behaviour sees it that conducts retrievals itself."""

    async def sendable(self, instance: HeldInstance) -> Instance:
        """Return an instance as it can be sent."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Do something beside the associations: it ends with the PACS."""

    def restart(self, seconds: float) -> None:
        """Go down for so long, soon."""


def all_of(chosen: Sequence[HeldInstance]) -> Sequence[HeldInstance]:
    """Leave nothing out."""
    return chosen


def unknown(destination: str) -> EndOfAnswers:
    """Return the end of a C-MOVE to a destination that is not known."""
    return EndOfAnswers(Status.MOVE_DESTINATION_UNKNOWN, f"no destination is called {destination}")


class Behaviour(Protocol):
    """Decides the answers to C-FIND, C-MOVE and C-GET."""

    def find(self, request: FindRequest) -> AsyncIterator[bytes]:
        """Yield the encoded identifiers that a C-FIND is answered with, one for each response.

        Raises
        ------
        InvalidIdentifierError
            When the question makes no sense; raised at the latest by the first step.
        EndOfAnswers
            When it does not end with Success.
        """
        ...

    def retrieve(self, model: QueryModel, identifier: Dataset) -> Sequence[HeldInstance]:
        """Return the instances that a C-MOVE or a C-GET sends, in order.

        Raises
        ------
        InvalidIdentifierError
            When the question makes no sense.
        """
        ...

    def conduct(
        self,
        request: MoveRequest | GetRequest,
        target: Peer | None,
        house: House,
        choose: Choose = all_of,
    ) -> Conduct | None:
        """Return who conducts a retrieval; None: it sends what `retrieve` returns, and says so.

        Parameters
        ----------
        target
            Where a C-MOVE sends to; None where that is not known.
        choose
            What is sent of that which it names.

        Raises
        ------
        InvalidIdentifierError
            When the question makes no sense.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Honest:
    """Finds and sends what matches, all of it and nothing else (PS3.4 C.4.1 to C.4.3).

    Attributes
    ----------
    archive
        What there is; may grow while it is served.
    aetitle
        Our own, named in every answer as where to retrieve from.
    """

    archive: Holdings
    aetitle: str

    async def find(self, request: FindRequest) -> AsyncIterator[bytes]:
        """See `Behaviour.find`."""
        question = read_question(request.model, request.identifier)
        writer = AnswerWriter(question, request.transfer_syntax_uid, aetitle=self.aetitle)
        for entity in self.archive.matching(question):
            yield writer.write(entity)

    def retrieve(self, model: QueryModel, identifier: Dataset) -> Sequence[HeldInstance]:
        """See `Behaviour.retrieve`."""
        return self.archive.named(read_retrieval(model, identifier))

    def conduct(
        self,
        request: MoveRequest | GetRequest,  # noqa: ARG002 - all are alike
        target: Peer | None,  # noqa: ARG002
        house: House,  # noqa: ARG002
        choose: Choose = all_of,  # noqa: ARG002
    ) -> Conduct | None:
        """See `Behaviour.conduct`."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """Counts every image when asked, but does not deliver the last ones of each study.

    What is sent succeeds, so the retrieval ends with Success and says nothing of what is missing.

    Attributes
    ----------
    inner
        Whose answers are cut.
    archive
        Where the studies are looked up: what is withheld is withheld at every level.
    withhold
        How many images of each study stay behind; all of them in smaller studies.
    """

    inner: Behaviour
    archive: SimulatedArchive
    withhold: int

    def find(self, request: FindRequest) -> AsyncIterator[bytes]:
        """See `Behaviour.find`."""
        return self.inner.find(request)

    def retrieve(self, model: QueryModel, identifier: Dataset) -> Sequence[HeldInstance]:
        """See `Behaviour.retrieve`."""
        return self._delivered(self.inner.retrieve(model, identifier))

    def conduct(
        self,
        request: MoveRequest | GetRequest,
        target: Peer | None,
        house: House,
        choose: Choose = all_of,
    ) -> Conduct | None:
        """See `Behaviour.conduct`."""
        return self.inner.conduct(
            request, target, house, lambda all_: choose(self._delivered(all_))
        )

    def _delivered(self, chosen: Sequence[HeldInstance]) -> Sequence[HeldInstance]:
        """Leave out what stays behind."""
        left = Counter({s.uid: sum(1 for _ in s.instances) for s in self.archive.studies})
        left.subtract(dict.fromkeys(left, self.withhold))
        delivered = set()
        for instance in self.archive.instances:
            if left[instance.study_uid] > 0:
                left[instance.study_uid] -= 1
                delivered.add(instance.sop_instance_uid)
        return [i for i in chosen if i.sop_instance_uid in delivered]
