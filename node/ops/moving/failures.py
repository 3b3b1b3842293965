"""What kind of failure an error of a peer is: how long a study waits, and whether the peer does."""

from node.dicom.status import Status
from node.errors import (
    AssociationLost,
    NodeError,
    PeerFailure,
    PeerRefused,
    PeerStalled,
    PeerUnreachable,
)
from schema.moving.patience import FailureKind

_BUSY = (
    Status.OUT_OF_RESOURCES,
    Status.UNABLE_TO_COUNT_MATCHES,
    Status.UNABLE_TO_PERFORM_SUBOPERATIONS,
    Status.CANCEL,
)


def kind_of(error: NodeError | None) -> FailureKind:
    """Return what kind of failure an error is; see `schema.moving.patience`."""
    match error:
        case None:
            return FailureKind.NONE
        case PeerUnreachable() | PeerRefused(transient=True):
            return FailureKind.OUTAGE
        case PeerRefused():
            return FailureKind.CONFIGURATION
        case AssociationLost() | PeerStalled():
            return FailureKind.BUSY
        case PeerFailure(status=status) if status in _BUSY:
            return FailureKind.BUSY
        case _:
            return FailureKind.REFUSED


def is_busy(error: NodeError) -> bool:
    """Tell whether a failure says that the peer has too much to do."""
    return kind_of(error) is FailureKind.BUSY


def said_of(error: NodeError | None, *, impersonal: bool = False) -> str:
    """Return what went wrong, in words; "" when nothing did.

    Parameters
    ----------
    impersonal
        Without the peer's own words, which may name a patient.
    """
    if impersonal and isinstance(error, PeerFailure):
        return error.impersonal
    return "" if error is None else str(error)


def without_words(text: str, error: NodeError | None) -> str:
    """Return a text without the peer's own words of an error that it tells."""
    return text.replace(said_of(error), said_of(error, impersonal=True))
