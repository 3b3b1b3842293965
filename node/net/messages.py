"""What crosses the border between the network and the rest of the node.

Requests that came in, answers that go out, and peers: values only. Nothing here knows
PDUs, sockets or threads, and nothing outside `node.net` knows them either.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydicom.dataset import Dataset


class QueryModel(Enum):
    """The information model of a query (PS3.4 C.6)."""

    PATIENT_ROOT = "patient"
    STUDY_ROOT = "study"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines in seconds.

    Attributes
    ----------
    connect
        For the TCP connection.
    acse
        For the answer to an association request or release.
    dimse
        For the next message of a running operation.
    network
        For an association on which nothing happens at all.
    """

    connect: float = 10.0
    acse: float = 30.0
    dimse: float = 60.0
    network: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A remote application entity, and how to speak to it.

    Attributes
    ----------
    name
        What the operator calls it.
    aetitle, host, port
        Where it listens and under which title.
    calling_aetitle
        The title under which we introduce ourselves to it.
    """

    name: str
    aetitle: str
    host: str
    port: int
    calling_aetitle: str
    timeouts: Timeouts = Timeouts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The application entity on the other side of an association that we accepted."""

    aetitle: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """A C-STORE request (PS3.7 9.1.1).

    Attributes
    ----------
    sop_class_uid, sop_instance_uid
        As the command names them; the dataset may disagree.
    transfer_syntax_uid
        Of the presentation context, hence of the dataset.
    dataset
        The encoded dataset, exactly the bytes that came.
    """

    caller: Caller
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRequest:
    """A C-FIND request (PS3.7 9.1.2); the level is in the identifier."""

    caller: Caller
    model: QueryModel
    identifier: Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequest:
    """A C-MOVE request (PS3.7 9.1.4)."""

    caller: Caller
    model: QueryModel
    identifier: Dataset
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A DICOM file (PS3.10) that can be sent, and what a presentation context needs to know."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlan:
    """What to answer to a C-MOVE request: which instances to send to which peer.

    Attributes
    ----------
    target
        The application entity to send to; None when the destination is unknown (0xA801).
    instances
        What is sent, in this order.
    """

    target: Peer | None
    instances: Sequence[Instance] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveProgress:
    """One C-MOVE response (PS3.7 9.1.4.1.8); a count is None where the peer left it out.

    Attributes
    ----------
    status
        0xFF00 while pending, else the final status.
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
        return self.status in (0xFF00, 0xFF01)


StoreHandler = Callable[[StoreRequest], Awaitable[int]]
"""Takes one object and returns the C-STORE status (PS3.4 B.2.3). Never raises."""

FindHandler = Callable[[FindRequest], AsyncIterator[Dataset]]
"""Yields the identifiers that match. Raising ends the C-FIND with a failure status."""

MoveHandler = Callable[[MoveRequest], Awaitable[MovePlan]]
"""Decides what a C-MOVE sends, and whereto."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The DIMSE services that an acceptor offers; C-ECHO is always one of them."""

    store: StoreHandler | None = None
    find: FindHandler | None = None
    move: MoveHandler | None = None
