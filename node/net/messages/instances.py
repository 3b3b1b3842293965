"""What is sent, and what is said of it: objects, the plan of a retrieval, and its responses."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.errors import NodeError
from node.net.categories import is_pending
from node.net.messages.peers import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFile:
    """A DICOM file (PS3.10) that can be sent, and what a presentation context needs to know.

    Attributes
    ----------
    sha256
        Of the encoded dataset, in hexadecimal: what has another one is not sent. None where nobody
        knows it.
    size
        Of the file, in bytes; None where nobody knows it.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceInMemory:
    """An object without a file that can be sent.

    Attributes
    ----------
    dataset
        Makes its dataset, encoded in the transfer syntax, when it is sent: at once, without I/O.
    """

    dataset: Callable[[], bytes]
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceMissing:
    """An object that is known, and that cannot be sent: its sub-operation fails.

    Attributes
    ----------
    reason
        For people.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    reason: str


Instance = InstanceFile | InstanceInMemory | InstanceMissing


class SentParts(Protocol):
    """An encoded dataset, part by part, and what its C-STORE says of it."""

    @property
    def sop_class_uid(self) -> str:
        """Affected SOP Class UID (0000,0002)."""

    @property
    def sop_instance_uid(self) -> str:
        """Affected SOP Instance UID (0000,1000)."""

    @property
    def transfer_syntax_uid(self) -> str:
        """How it is encoded."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    async def part(self) -> tuple[bytes, bool]:
        """Return the next part, and whether it is the last one.

        Raises
        ------
        NodeError
            It cannot be had.
        """

    def close(self) -> None:
        """Let go of it."""


Convert = Callable[[Instance, Sequence[str]], AbstractAsyncContextManager[SentParts]]
"""Puts an object into one of some transfer syntaxes, the first that it can be put into. Entering
raises `NodeError` where that is not possible."""


class Turn(Protocol):
    """The right of a retrieval to send: of so many, each has one. It is held at first."""

    def lend(self) -> None:
        """Let another retrieval have it meanwhile; nothing where that is done already."""

    async def reclaim(self) -> None:
        """Wait until it is held again; at once where it is. Several may wait for it."""


class _NoTurn:
    """Of any number."""

    def lend(self) -> None:
        """Do nothing: nobody waits for it."""

    async def reclaim(self) -> None:
        """Do nothing: it is held."""


def _no_waiting() -> AbstractAsyncContextManager[Turn]:
    return nullcontext(_NoTurn())


def _nobody(_: Instance, __: NodeError) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalMeans:
    """What the sub-operations of a retrieval may use, beside the objects.

    Attributes
    ----------
    associations
        Over how many associations at once a C-MOVE sends, where the destination takes so many.
    turn
        Entered before the first sub-operation, and left after the last one. What it gives is lent
        while a sub-operation takes long, and reclaimed before the next one.
    convert
        For objects whose own transfer syntax is not accepted; None converts nothing.
    missed
        Told of each object that could not be read, and why.
    pause
        Seconds between two responses that tell how far it is, at least, and 1 at most; 0 tells it
        after each sub-operation.
    """

    associations: int = 1
    turn: Callable[[], AbstractAsyncContextManager[Turn]] = _no_waiting
    convert: Convert | None = None
    missed: Callable[[Instance, NodeError], None] = _nobody
    pause: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlan:
    """What to answer to a C-MOVE request: which instances to send to which peer.

    Attributes
    ----------
    target
        The application entity to send to; None when the destination is unknown (0xA801).
    instances
        What is sent, in this order.
    comment
        Why there is no target, for people.
    """

    target: Peer | None
    instances: Sequence[Instance] = ()
    means: RetrievalMeans = RetrievalMeans()
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetPlan:
    """What to answer to a C-GET request: which instances to send, in this order."""

    instances: Sequence[Instance]
    means: RetrievalMeans = RetrievalMeans()


class RetrievalRefused(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """A handler's word for a C-MOVE or a C-GET that is answered with a status alone.

    Attributes
    ----------
    status
        Of the response (PS3.4 C.4.2.1.5).
    comment
        Its Error Comment (0000,0902), for people.
    """

    def __init__(self, status: int, comment: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.comment = comment


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveProgress:
    """One C-MOVE response (PS3.7 9.1.4.1.8); a count is None where the peer left it out.

    Attributes
    ----------
    status
        Pending, else the final status.
    failed_uids
        The SOP Instance UIDs that the peer says it could not send.
    comment
        The peer's Error Comment.
    """

    status: int
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    failed_uids: tuple[str, ...] = ()
    comment: str = ""

    @property
    def pending(self) -> bool:
        """Whether more responses follow."""
        return is_pending(self.status)
