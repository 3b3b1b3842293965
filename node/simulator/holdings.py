"""What an archive has to be able to do to be served: the one interface of all kinds of them.

`node.simulator.archive.SimulatedArchive` holds a folder of files, and `GeneratedArchive` in
`node.simulator.generated.archive` studies that are made up when they are asked for.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from node.dicom.querying.levels import HeldAttributes
from node.dicom.querying.question import Question
from node.simulator.instances import HeldInstance


class Holdings(Protocol):
    """An archive that can be asked."""

    def matching(self, question: Question) -> Iterator[HeldAttributes]:
        """Yield what is known of each entity that matches, its ancestors' attributes included.

        Entities of the question's level, in the archive's order: always the same one.

        Raises
        ------
        EndOfAnswers
            There is none of them that the question's Prior Record Key is of.
        """
        ...

    def named(self, question: Question) -> Sequence[HeldInstance]:
        """Return the instances that a retrieval's unique keys name (PS3.4 C.4.2.2.1)."""
        ...

    def transfer_syntaxes(self, sop_class_uid: str) -> Sequence[str]:
        """Return those in which there are images of a SOP class, those of most images first."""
        ...

    def __len__(self) -> int:
        """Return how many entities of the lowest level there are: images, or made-up studies."""
        ...
