"""Who answers requests: the handlers of each service, and what they may use."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset

from node.net.messages.instances import GetPlan, Instance, MovePlan, MoveProgress
from node.net.messages.requests import (
    CommitRequest,
    FindRequest,
    GetRequest,
    MoveRequest,
    ReportRequest,
    StoreRequest,
)


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


FindHandler = Callable[[FindRequest], AsyncIterator[Dataset | bytes | Sequence[bytes]]]
"""Yields the identifiers that match, as datasets or encoded in the request's transfer syntax; or
several encoded ones at once. A C-CANCEL ends it wherever it waits.
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
"""Decides what a C-MOVE sends, and whereto; or answers it itself. See `RetrievalRefused`."""


GetHandler = Callable[[GetRequest], Awaitable[Sequence[Instance] | GetPlan | Conduct]]
"""Decides what a C-GET sends, in this order; or answers it itself. See `RetrievalRefused`."""


CommitHandler = Callable[[CommitRequest], Awaitable[int]]
"""Takes a request for storage commitment; returns the status of the N-ACTION. On Success it will
report, later: nothing is known of the objects yet."""


ReportHandler = Callable[[ReportRequest], Awaitable[int]]
"""Takes what another node reports of a request of ours; returns the status of the
N-EVENT-REPORT."""


def _nothing_is_held(_: str) -> Sequence[str]:
    return ()


def _nobody_is_told(_: StoreRequest) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The DIMSE services that an acceptor offers; C-ECHO is always one of them.

    Attributes
    ----------
    held
        The transfer syntaxes in which there are objects of a SOP class, those of most objects
        first: the contexts of a C-GET are accepted in them. Called in the event loop.
    arriving
        Told of each object that begins to come.
    repository
        Whether `find` also answers Repository Query (PS3.4 C.6.4).
    relational
        Whether the handlers of queries and retrievals understand relational ones, where they are
        negotiated (PS3.4 C.5).
    """

    store: StoreHandler | None = None
    find: FindHandler | None = None
    move: MoveHandler | None = None
    get: GetHandler | None = None
    held: Callable[[str], Sequence[str]] = _nothing_is_held
    repository: bool = False
    arriving: Callable[[StoreRequest], None] = _nobody_is_told
    relational: bool = False
    commit: CommitHandler | None = None
    report: ReportHandler | None = None
