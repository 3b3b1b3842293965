"""What crosses the border between the network and the rest of the node.

Requests that came in, answers that go out, and peers: values only. Nothing here knows
PDUs, sockets or threads, and nothing outside `node.net` knows them either.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset

from node.net.categories import is_pending
from node.net.transport.tls import RequestorTLS


class QueryModel(Enum):
    """The information model of a query (PS3.4 C.6)."""

    PATIENT_ROOT = "patient"
    STUDY_ROOT = "study"
    REPOSITORY = "repository"
    """Study Root with a response limit that is announced, and continued (PS3.4 C.6.4)."""


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
    tls
        How to speak TLS with it; None is plain text.
    """

    name: str
    aetitle: str
    host: str
    port: int
    calling_aetitle: str
    timeouts: Timeouts = Timeouts()
    tls: RequestorTLS | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """What an application entity says of the program that it is (PS3.7 D.3.3.2); may be empty."""

    class_uid: str
    version_name: str


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
    originator
        The AE title that asked for the C-MOVE of which it is a sub-operation (PS3.7 9.1.1.1.6);
        "" where the sender does not say so.
    """

    caller: Caller
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    originator: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRequest:
    """A C-FIND request (PS3.7 9.1.2); the level is in the identifier.

    Attributes
    ----------
    transfer_syntax_uid
        Of the presentation context, hence of the identifiers that answer it.
    """

    caller: Caller
    model: QueryModel
    identifier: Dataset
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequest:
    """A C-MOVE request (PS3.7 9.1.4)."""

    caller: Caller
    model: QueryModel
    identifier: Dataset
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRequest:
    """A C-GET request (PS3.7 9.1.3)."""

    caller: Caller
    model: QueryModel
    identifier: Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFile:
    """A DICOM file (PS3.10) that can be sent, and what a presentation context needs to know."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


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


Instance = InstanceFile | InstanceInMemory


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


class StoreSink(Protocol):
    """Takes the dataset of one C-STORE request, as its bytes come.

    The end is either `finish` or `discard`.
    """

    @property
    def full(self) -> bool:
        """Whether it would like to have no more bytes until `drained`."""

    def write(self, data: bytes) -> None:
        """Take the next bytes, without waiting for anything."""

    async def drained(self) -> None:
        """Wait until there is room again."""

    async def finish(self) -> int:
        """Take note that the dataset is whole; return the C-STORE status (PS3.4 B.2.3)."""

    def discard(self) -> None:
        """Forget it: the association ended before the dataset did."""


class IdentifierMismatch(ValueError):  # noqa: N818 - reads as a sentence where it is raised
    """A handler's word for an identifier that breaks the rules of its information model.

    It is answered with 0xA900, identifier does not match SOP class (PS3.4 C.4.1.1.4, C.4.2.1.5,
    C.4.3.1.4); the words go to who asked.
    """


class EndOfAnswers(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """A handler's word for a C-FIND that does not end with Success.

    Attributes
    ----------
    status
        Of the last response (PS3.4 C.4.1.1.4); None: there is none, the association is aborted.
    comment
        Its Error Comment (0000,0902), for people.
    """

    def __init__(self, status: int | None, comment: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.comment = comment


StoreHandler = Callable[[StoreRequest], StoreSink]
"""Begins to take one object."""

FindHandler = Callable[[FindRequest], AsyncIterator[Dataset | bytes]]
"""Yields the identifiers that match, as datasets or encoded in the request's transfer syntax.
Raising ends the C-FIND with a failure status, as it does the other two; see `IdentifierMismatch`
and `EndOfAnswers`."""


class Conducted(Protocol):
    """A C-MOVE or a C-GET of which a handler sends every response itself."""

    @property
    def message_id(self) -> int:
        """Message ID (0000,0110) of the request."""

    @property
    def is_cancelled(self) -> bool:
        """Whether a C-CANCEL has come for it (PS3.7 9.3.2.3)."""

    @property
    def is_left(self) -> bool:
        """Whether the requestor has ended the association, or asked for its release."""

    async def respond(
        self, response: MoveProgress, identifier: Sequence[str] | None = None
    ) -> None:
        """Send a response, as long as there is anybody to send it to.

        Parameters
        ----------
        identifier
            Its Failed SOP Instance UID List (0008,0058); None is no identifier.
        """

    async def store(self, instance: Instance, *, half: bool = False) -> int | None:
        """Store an object at the requestor, of a C-GET; return the status, None without an answer.

        Parameters
        ----------
        half
            Whether only the first half of what is to be written is, and None returned at once.
        """

    def abort(self, reason: str) -> None:
        """Abort the association; `reason` is for the log."""


Conduct = Callable[[Conducted], Awaitable[None]]
"""Answers a C-MOVE or a C-GET to its end. It is cancelled when the association ends."""

MoveHandler = Callable[[MoveRequest], Awaitable[MovePlan | Conduct]]
"""Decides what a C-MOVE sends, and whereto; or answers it itself."""

GetHandler = Callable[[GetRequest], Awaitable[Sequence[Instance] | Conduct]]
"""Decides what a C-GET sends, in this order; or answers it itself."""


def _nothing_is_held(_: str) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The DIMSE services that an acceptor offers; C-ECHO is always one of them.

    Attributes
    ----------
    held
        The transfer syntaxes in which there are objects of a SOP class, those of most objects
        first: the contexts of a C-GET are accepted in them. Called in the event loop.
    repository
        Whether `find` also answers Repository Query (PS3.4 C.6.4).
    """

    store: StoreHandler | None = None
    find: FindHandler | None = None
    move: MoveHandler | None = None
    get: GetHandler | None = None
    held: Callable[[str], Sequence[str]] = _nothing_is_held
    repository: bool = False
