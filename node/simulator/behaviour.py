"""What a simulated PACS answers, apart from how that gets onto the network.

`Honest` answers as the standard says. Other behaviours wrap one and spoil its answers, as
PACSs in the field do; each is a few lines, and the server does not know which one it has.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset

from node.net.messages import QueryModel
from node.simulator.archive import HeldInstance, SimulatedArchive
from node.simulator.query import InvalidIdentifierError, find, select

__all__ = ["Behaviour", "Honest", "InvalidIdentifierError", "Partial"]


class Behaviour(Protocol):
    """Decides the answers to C-FIND, C-MOVE and C-GET. Does no input or output, and never waits."""

    def find(self, model: QueryModel, identifier: Dataset) -> Iterable[Dataset]:
        """Return the identifiers that a C-FIND is answered with, one for each response.

        Raises
        ------
        InvalidIdentifierError
            When the question makes no sense; raised at the latest by the first step.
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

    archive: SimulatedArchive
    aetitle: str

    def find(self, model: QueryModel, identifier: Dataset) -> Iterable[Dataset]:
        """See `Behaviour.find`."""
        return find(self.archive, model, identifier, aetitle=self.aetitle)

    def retrieve(self, model: QueryModel, identifier: Dataset) -> Sequence[HeldInstance]:
        """See `Behaviour.retrieve`."""
        return select(self.archive, model, identifier)


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

    def find(self, model: QueryModel, identifier: Dataset) -> Iterable[Dataset]:
        """See `Behaviour.find`."""
        return self.inner.find(model, identifier)

    def retrieve(self, model: QueryModel, identifier: Dataset) -> Sequence[HeldInstance]:
        """See `Behaviour.retrieve`."""
        left = Counter({s.uid: sum(1 for _ in s.instances) for s in self.archive.studies})
        left.subtract(dict.fromkeys(left, self.withhold))
        delivered = set()
        for instance in self.archive.instances:
            if left[instance.study_uid] > 0:
                left[instance.study_uid] -= 1
                delivered.add(instance.sop_instance_uid)
        chosen = self.inner.retrieve(model, identifier)
        return [i for i in chosen if i.sop_instance_uid in delivered]
