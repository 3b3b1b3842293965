"""What an association tells its user: the indications and confirmations of PS3.8 section 7."""

from dataclasses import dataclass

from node.upperlayer.associate import AssociateAccept, AssociateRequest, Rejection
from node.upperlayer.dimse import Command


@dataclass(frozen=True, slots=True)
class Requested:
    """A-ASSOCIATE indication: the peer asks for an association."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class Accepted:
    """A-ASSOCIATE confirmation: the peer has accepted."""

    accept: AssociateAccept


@dataclass(frozen=True, slots=True)
class Rejected:
    """A-ASSOCIATE confirmation: the peer has rejected."""

    rejection: Rejection


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole DIMSE command; when it has a dataset, fragments of that follow."""

    context_id: int
    command: Command


@dataclass(frozen=True, slots=True)
class DatasetFragment:
    """The next bytes of the dataset that belongs to the last command."""

    context_id: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """A-RELEASE indication: the peer wants to end the association in good order.

    When both sides have asked for it, the acceptor answers only after `Released` (PS3.8 7.2.2).
    """


@dataclass(frozen=True, slots=True)
class Released:
    """A-RELEASE confirmation: the peer agrees to the end of the association."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """A-ABORT or A-P-ABORT indication: the association is over.

    Attributes
    ----------
    source
        0 the peer's user, 2 its upper layer (PS3.8 9.3.8); None when it was we who aborted,
        or when the connection ended.
    reason
        For people.
    """

    source: int | None
    reason: str


Event = (
    Requested
    | Accepted
    | Rejected
    | CommandReceived
    | DatasetFragment
    | ReleaseRequested
    | Released
    | Aborted
)
